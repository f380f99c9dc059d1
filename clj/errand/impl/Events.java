package errand.impl;

import clojure.lang.IFn;
import clojure.lang.Keyword;
import java.util.Map;
import java.util.function.Consumer;

/** Tells System.Logger "errand" of background events, and a function where there is one. It does not know what happens. */
public final class Events implements Consumer<byte[]> {
    private static final Keyword EVENT = Keyword.intern("event");
    private static final Keyword MESSAGE = Keyword.intern("message");
    private static final Keyword AT = Keyword.intern("at");

    private final IFn listener;

    /** {@code listener} is called with each event, a map; null where only the log is told. */
    public Events(IFn listener) {
        this.listener = listener;
    }

    /** Hears of one event; what the listener throws is logged. */
    @Override
    public void accept(byte[] reply) {
        Object event = Codec.decode(reply, 1);
        log((Map<?, ?>) event);
        if (listener != null) {
            try {
                listener.invoke(event);
            } catch (Throwable failure) {
                System.getLogger("errand").log(System.Logger.Level.WARNING, "the :on-event function failed", failure);
            }
        }
    }

    private static void log(Map<?, ?> event) {
        System.Logger logger = System.getLogger("errand");
        System.Logger.Level level = level(String.valueOf(event.get(EVENT)));
        if (logger.isLoggable(level)) {
            Object at = event.get(AT);
            logger.log(level, event.get(EVENT) + ": " + event.get(MESSAGE) + (at == null ? "" : " at " + at));
        }
    }

    /** A panic is an error, other trouble a warning, the rest is for debugging. */
    private static System.Logger.Level level(String event) {
        if (event.equals("panic")) {
            return System.Logger.Level.ERROR;
        }
        return event.endsWith("-failed") ? System.Logger.Level.WARNING : System.Logger.Level.DEBUG;
    }
}
