package errand.impl;

import clojure.lang.IFn;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.Executor;

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

    /** What {@code value} makes of the reply, completed on {@code executor}; cancelling it gives the call up. */
    public CompletableFuture<Object> then(IFn value, Executor executor) {
        CompletableFuture<Object> made = handleAsync((reply, failure) -> {
            if (failure != null) {
                throw new CompletionException(failure);
            }
            return value.invoke(reply);
        }, executor);
        made.whenComplete((result, failure) -> {
            if (made.isCancelled()) {
                cancel(false);
            }
        });
        return made;
    }

    @Override
    public <U> CompletableFuture<U> newIncompleteFuture() {
        return new CompletableFuture<>();
    }
}
