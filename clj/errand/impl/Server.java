package errand.impl;

import clojure.lang.IFn;
import clojure.lang.Keyword;
import java.io.Closeable;
import java.util.Map;
import java.util.concurrent.ExecutionException;

/** A server that runs in this JVM. It does not know requests. */
public final class Server implements Closeable {
    public final String url;
    public final int port;
    /** The token that was made for this run, where there are no keys; else null. */
    public final String token;
    private final long handle;
    private final Engine engine;
    private boolean closed;

    private Server(long handle, String url, int port, String token, Engine engine) {
        this.handle = handle;
        this.url = url;
        this.port = port;
        this.token = token;
        this.engine = engine;
    }

    /**
     * Serves an engine, and ends with it. {@code value} gives the data of a reply, or throws its error. An interrupt
     * ends the server that may still come.
     */
    public static Server serve(Engine engine, byte[] options, IFn value) throws InterruptedException, ExecutionException {
        Pending pending = Native.serve(engine.handle, options);
        try {
            return started((Map<?, ?>) value.invoke(pending.get()), engine);
        } catch (InterruptedException interrupt) {
            pending.whenCompleteAsync((reply, failure) -> {
                if (failure == null && reply[0] == 0) {
                    started((Map<?, ?>) Codec.decode(reply, 1), engine).close();
                }
            });
            throw interrupt;
        }
    }

    private static Server started(Map<?, ?> reply, Engine engine) {
        long handle = (Long) reply.get(Keyword.intern("server"));
        String url = (String) reply.get(Keyword.intern("url"));
        int port = ((Long) reply.get(Keyword.intern("port"))).intValue();
        Server server = new Server(handle, url, port, (String) reply.get(Keyword.intern("token")), engine);
        engine.beforeClose(server, server::close);
        return server;
    }

    /** Drains and ends the server, and lets go of its port. Idempotent; a second caller waits for the first. */
    @Override
    public synchronized void close() {
        if (closed) {
            return;
        }
        closed = true;
        engine.beforeClose(this, null);
        Native.stop(handle).join();
    }

    @Override
    public String toString() {
        return "#<errand server " + url + (closed ? ", closed>" : ">");
    }
}
