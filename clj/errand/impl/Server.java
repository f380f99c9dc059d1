package errand.impl;

import java.io.Closeable;

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

    /** A server that was started, and ends with its engine. */
    public static Server of(long handle, String url, int port, String token, Engine engine) {
        Server server = new Server(handle, url, port, token, engine);
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
