package errand.impl;

import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.nio.ByteBuffer;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;

/**
 * The native functions, and the one thread that asks them for late replies and background events.
 *
 * <p>A reply is one byte (0 for data, 1 for an error) and then one message of {@link Codec}. It does not read messages.
 */
public final class Native {
    /** Why the library could not be loaded, or null. It is kept, because a class is initialised only once. */
    private static final Throwable LOAD_FAILURE = load();

    private static final AtomicLong TICKETS = new AtomicLong();
    private static final Map<Long, Pending> PENDING = new ConcurrentHashMap<>();
    private static final Map<Long, Consumer<byte[]>> LISTENERS = new ConcurrentHashMap<>();
    private static volatile Consumer<byte[]> log = event -> { };

    /** Runs listeners in order, on a thread that is there only while there is something to tell. */
    private static final ThreadPoolExecutor TELLER =
        new ThreadPoolExecutor(1, 1, 5, TimeUnit.SECONDS, new LinkedBlockingQueue<>(), task -> daemon(task, "errand-log"));

    static {
        TELLER.allowCoreThreadTimeOut(true);
    }

    /** Thread.isVirtual, or null on a JDK that has no virtual threads. */
    private static final MethodHandle IS_VIRTUAL = isVirtual();

    private Native() { }

    /**
     * Whether this thread may sleep in native code while its commit is under way. A virtual thread may not: it would
     * take its carrier along, and as many commits as there are carriers would be all that share one.
     */
    private static boolean mayStay() {
        try {
            return IS_VIRTUAL == null || !(boolean) IS_VIRTUAL.invokeExact(Thread.currentThread());
        } catch (Throwable impossible) {
            return false;
        }
    }

    private static MethodHandle isVirtual() {
        try {
            MethodType type = MethodType.methodType(boolean.class);
            return MethodHandles.publicLookup().findVirtual(Thread.class, "isVirtual", type);
        } catch (NoSuchMethodException | IllegalAccessException old) {
            return null;
        }
    }

    private static native byte[] describe0();

    private static native byte[] probe0(byte[] message);

    private static native byte[] open0(byte[] options, long ticket);

    private static native byte[] call0(long handle, int command, byte[] args, int length, long ticket, boolean wait);

    private static native byte[] step0(
        long handle, byte[] id, byte[] config, int length, long ticket, boolean wait);

    private static native void forget0(long handle, long ticket);

    private static native byte[] close0(long handle);

    private static native byte[] serve0(long handle, byte[] options, long ticket);

    private static native byte[] stop0(long server, long ticket);

    private static native byte[] events0();

    private static native void endEvents0();

    /** Why the native library cannot be used, or null where it can. */
    public static Throwable loadFailure() {
        return LOAD_FAILURE;
    }

    /** The reply that describes commands, step ops and error codes. */
    public static byte[] describe() {
        return describe0();
    }

    /** Keeps the value of a message on the other side and gives null; null gives it back as a reply. For measuring. */
    public static byte[] probe(byte[] message) {
        return probe0(message);
    }

    /** Begins to open an engine; {@code listener} gets its background events, until {@link #unlisten}. */
    public static Pending open(byte[] options, Consumer<byte[]> listener) {
        Pending pending = pending(0);
        LISTENERS.put(-pending.ticket, listener);
        byte[] now;
        try {
            now = open0(options, pending.ticket);
        } catch (Throwable failure) {
            PENDING.remove(pending.ticket);
            unlisten(pending.ticket);
            throw failure;
        }
        return answered(pending, now);
    }

    /** Ends the background events of the engine that was opened under this ticket. */
    public static void unlisten(long ticket) {
        LISTENERS.remove(-ticket);
    }

    /** Sets who gets the background events of the library as a whole. */
    public static void log(Consumer<byte[]> listener) {
        log = listener;
    }

    /** Runs a command, by its index in the description, without waiting. */
    public static Pending call(long handle, int command, byte[] args) {
        return call(handle, command, args, args.length, false);
    }

    /** Begins a command; its reply comes later. */
    public static Pending begin(long handle, int command, Encoder args) {
        Pending pending = call(handle, command, args.bytes(), args.length(), false);
        args.free();
        return pending;
    }

    /** Runs a command for a caller who waits for the reply. */
    public static Pending ask(long handle, int command, Encoder args) {
        Pending pending = call(handle, command, args.bytes(), args.length(), mayStay());
        args.free();
        return pending;
    }

    private static Pending call(long handle, int command, byte[] args, int length, boolean wait) {
        Pending pending = pending(handle);
        byte[] now;
        try {
            now = call0(handle, command, args, length, pending.ticket, wait);
        } catch (Throwable failure) {
            PENDING.remove(pending.ticket);
            throw failure;
        }
        return answered(pending, now);
    }

    /** Runs a step of a flow, without waiting; the id is a message too. */
    public static Pending step(long handle, byte[] id, byte[] config) {
        return step(handle, id, config, config.length, false);
    }

    /** Begins a step of a flow; its reply comes later. */
    public static Pending beginStep(long handle, byte[] id, Encoder config) {
        Pending pending = step(handle, id, config.bytes(), config.length(), false);
        config.free();
        return pending;
    }

    /** Runs a step of a flow for a caller who waits for the reply. */
    public static Pending askStep(long handle, byte[] id, Encoder config) {
        Pending pending = step(handle, id, config.bytes(), config.length(), mayStay());
        config.free();
        return pending;
    }

    private static Pending step(long handle, byte[] id, byte[] config, int length, boolean wait) {
        Pending pending = pending(handle);
        byte[] now;
        try {
            now = step0(handle, id, config, length, pending.ticket, wait);
        } catch (Throwable failure) {
            PENDING.remove(pending.ticket);
            throw failure;
        }
        return answered(pending, now);
    }

    /** Closes an engine; calls under way end with an error. Idempotent. */
    public static byte[] close(long handle) {
        return close0(handle);
    }

    /** Begins to serve an engine over HTTP; the reply says where. */
    public static Pending serve(long handle, byte[] options) {
        Pending pending = pending(0);
        byte[] now;
        try {
            now = serve0(handle, options, pending.ticket);
        } catch (Throwable failure) {
            PENDING.remove(pending.ticket);
            throw failure;
        }
        return answered(pending, now);
    }

    /** Begins to end a server; the reply comes when it has ended. Idempotent. */
    public static Pending stop(long server) {
        Pending pending = pending(0);
        byte[] now;
        try {
            now = stop0(server, pending.ticket);
        } catch (Throwable failure) {
            PENDING.remove(pending.ticket);
            throw failure;
        }
        return answered(pending, now);
    }

    /** The reply, once it is there. An interrupt gives the call up; what it asked for may still happen. */
    public static byte[] await(Pending pending) throws InterruptedException {
        if (pending.now != null) {
            return pending.now;
        }
        try {
            return pending.get();
        } catch (InterruptedException interrupt) {
            pending.cancel(false);
            throw interrupt;
        } catch (ExecutionException lost) {
            throw new IllegalStateException("reply was lost; what was asked for may have happened", lost.getCause());
        }
    }

    /** Gives a call up: its reply, if one still comes, is dropped. */
    static void forget(Pending pending) {
        if (PENDING.remove(pending.ticket) != null && pending.handle != 0) {
            forget0(pending.handle, pending.ticket);
        }
    }

    private static Pending pending(long handle) {
        EventThread.start();
        Pending pending = new Pending(handle, TICKETS.incrementAndGet());
        PENDING.put(pending.ticket, pending);
        return pending;
    }

    private static Pending answered(Pending pending, byte[] now) {
        if (now != null) {
            PENDING.remove(pending.ticket);
            pending.now = now;
            pending.complete(now);
        }
        return pending;
    }

    private static Throwable load() {
        try {
            System.load(Library.path());
            return null;
        } catch (Throwable failure) {
            return failure;
        }
    }

    private static Thread daemon(Runnable task, String name) {
        Thread thread = new Thread(task, name);
        thread.setDaemon(true);
        return thread;
    }

    /** Holder whose initialisation starts the thread, once, when the first call is made. */
    private static final class EventThread {
        static {
            daemon(Native::tellForever, "errand-events").start();
            try {
                // A thread that waits in native code would hold up the end of the JVM by 300 ms.
                Runtime.getRuntime().addShutdownHook(new Thread(Native::endEvents0, "errand-end"));
            } catch (IllegalStateException endingAlready) {
                endEvents0();
            }
        }

        static void start() { }
    }

    private static void tellForever() {
        while (true) {
            try {
                ByteBuffer batch = ByteBuffer.wrap(events0());
                if (!batch.hasRemaining()) {
                    // The JVM is ending; what others still do until then is answered all the same.
                    Thread.sleep(1);
                }
                while (batch.hasRemaining()) {
                    long ticket = batch.getLong();
                    int next = batch.getInt() + batch.position();
                    try {
                        byte[] reply = new byte[next - batch.position()];
                        batch.get(reply);
                        tell(ticket, reply);
                    } catch (Throwable failure) {
                        lost(ticket, failure);
                    }
                    batch.position(next);
                }
            } catch (Throwable failure) {
                System.getLogger("errand").log(System.Logger.Level.ERROR, "a batch of replies was lost", failure);
            }
        }
    }

    /** Ends a call whose reply cannot be handed on, for lack of memory say: its caller must not wait for ever. */
    private static void lost(long ticket, Throwable failure) {
        Pending pending = PENDING.remove(ticket);
        if (pending != null) {
            pending.completeExceptionally(failure);
        } else {
            System.getLogger("errand").log(System.Logger.Level.ERROR, "an event was lost", failure);
        }
    }

    private static void tell(long ticket, byte[] reply) {
        if (ticket > 0) {
            Pending pending = PENDING.remove(ticket);
            if (pending != null) {
                pending.complete(reply);
            }
            return;
        }
        Consumer<byte[]> listener = ticket == 0 ? log : LISTENERS.get(ticket);
        if (listener != null) {
            TELLER.execute(() -> listener.accept(reply));
        }
    }
}
