package errand.impl;

import java.util.concurrent.CompletableFuture;

/** One call under way. Cancelling it gives the call up. */
public final class Pending extends CompletableFuture<byte[]> {
    public final long ticket;
    final long handle;

    /** The reply where it came with the call itself. */
    byte[] now;

    Pending(long handle, long ticket) {
        this.handle = handle;
        this.ticket = ticket;
    }

    @Override
    public boolean cancel(boolean mayInterruptIfRunning) {
        Native.forget(this);
        return super.cancel(mayInterruptIfRunning);
    }

    @Override
    public <U> CompletableFuture<U> newIncompleteFuture() {
        return new CompletableFuture<>();
    }
}
