package errand.impl;

import java.io.Closeable;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * One open engine, here or behind a control plane. It is a Java class so that an engine stays an engine when a namespace is loaded again.
 * It does not know commands.
 */
public final class Engine implements Closeable {
    public final long handle;
    public final String place;
    public final String workspace;
    private final long ticket;
    /** What is held in this JVM; null where the engine is a control plane elsewhere. */
    private final OpenFiles files;
    private final Map<Object, Runnable> beforeClose = new ConcurrentHashMap<>();
    private volatile boolean closed;

    public Engine(long handle, String place, String workspace, long ticket, OpenFiles files) {
        this.handle = handle;
        this.place = place;
        this.workspace = workspace;
        this.ticket = ticket;
        this.files = files;
    }

    /** Runs {@code task} when the engine is closed, before it is; null takes the task of that key back. */
    public void beforeClose(Object key, Runnable task) {
        if (task == null) {
            beforeClose.remove(key);
        } else {
            beforeClose.put(key, task);
        }
    }

    public boolean isClosed() {
        return closed;
    }

    /** Ends waits with an error and lets go of the store. Idempotent; a second caller waits for the first. */
    @Override
    public synchronized void close() {
        if (closed) {
            return;
        }
        try {
            beforeClose.values().forEach(Runnable::run);
        } finally {
            closed = true;
            Native.close(handle);
            Native.unlisten(ticket);
            if (files != null) {
                files.release();
            }
        }
    }

    @Override
    public String toString() {
        return "#<errand engine " + place + ", workspace " + workspace + (closed ? ", closed>" : ">");
    }
}
