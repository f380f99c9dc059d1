package errand.impl;

import clojure.lang.IFn;
import clojure.lang.Keyword;
import java.io.Closeable;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;

/**
 * One open engine, here or behind a control plane. It is a Java class so that an engine stays an engine when a namespace is loaded again.
 * It does not know commands.
 */
public final class Engine implements Closeable {
    private static final Keyword HANDLE = Keyword.intern("handle");
    private static final Keyword PLACE = Keyword.intern("place");
    private static final Keyword WORKSPACE = Keyword.intern("workspace");

    public final long handle;
    public final String place;
    public final String workspace;
    private final long ticket;
    /** What is held in this JVM; null where the engine is a control plane elsewhere. */
    private final OpenFiles files;
    private final Map<Object, Runnable> beforeClose = new ConcurrentHashMap<>();
    private volatile boolean closed;

    private Engine(long handle, String place, String workspace, long ticket, OpenFiles files) {
        this.handle = handle;
        this.place = place;
        this.workspace = workspace;
        this.ticket = ticket;
        this.files = files;
    }

    /**
     * Opens an engine, on the database {@code file} where that is not null. {@code listener}, which may be null, is told
     * of background events; {@code value} gives the data of a reply, or throws its error.
     *
     * @throws OpenFiles.HeldElsewhere where another copy of the native library has the file open
     * @throws InterruptedException    and closes the engine that may still come
     */
    public static Engine open(byte[] options, Path file, IFn listener, IFn value)
            throws IOException, InterruptedException, ExecutionException {
        OpenFiles files = file == null ? null : OpenFiles.register(file);
        Pending pending = null;
        try {
            pending = Native.open(options, new Events(listener));
            return opened((Map<?, ?>) value.invoke(pending.get()), pending.ticket, files);
        } catch (InterruptedException interrupt) {
            abandon(pending, files);
            throw interrupt;
        } catch (Throwable failure) {
            forget(pending, files);
            throw failure;
        }
    }

    /** The engine of a reply; its file is registered by what it is, now that it exists. */
    private static Engine opened(Map<?, ?> reply, long ticket, OpenFiles files) throws IOException {
        long handle = (Long) reply.get(HANDLE);
        try {
            if (files != null) {
                files.opened();
            }
            return new Engine(handle, (String) reply.get(PLACE), (String) reply.get(WORKSPACE), ticket, files);
        } catch (Throwable failure) {
            Native.close(handle);
            throw failure;
        }
    }

    private static void abandon(Pending pending, OpenFiles files) {
        pending.whenCompleteAsync((reply, failure) -> {
            try {
                if (failure == null && reply[0] == 0) {
                    Native.close((Long) ((Map<?, ?>) Codec.decode(reply, 1)).get(HANDLE));
                }
            } finally {
                forget(pending, files);
            }
        });
    }

    private static void forget(Pending pending, OpenFiles files) {
        if (pending != null) {
            Native.unlisten(pending.ticket);
        }
        if (files != null) {
            files.release();
        }
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
