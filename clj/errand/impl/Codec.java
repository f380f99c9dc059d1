package errand.impl;

import clojure.lang.Keyword;
import java.util.Map;

/**
 * Clojure values to the binary form that crosses JNI and back. The form is specified at the top of
 * {@code src/value/binary.rs}, whose other half this is. It does not call native code.
 */
public final class Codec {
    static final byte VERSION = 1;
    /** Nesting that is taken: a scalar has depth 0, {@code [1]} has depth 1. */
    static final int DEPTH_MAX = 100;

    static final int NIL = 0x00;
    static final int FALSE = 0x01;
    static final int TRUE = 0x02;
    static final int INT = 0x03;
    static final int DOUBLE = 0x04;
    static final int BIG_INT = 0x05;
    static final int RATIO = 0x06;
    static final int DECIMAL = 0x07;
    static final int CHAR = 0x08;
    static final int STR = 0x09;
    static final int KEYWORD = 0x0a;
    static final int SYMBOL = 0x0b;
    static final int LIST = 0x0c;
    static final int VECTOR = 0x0d;
    static final int MAP = 0x0e;
    static final int SET = 0x0f;
    static final int INST = 0x10;
    static final int UUID = 0x11;
    static final int TAGGED = 0x12;
    static final int FAR_WORD = 0x13;
    static final int SMALL_INT = 0x20;
    static final int WORD = 0x40;
    static final int SHORT_STR = 0xc0;
    static final int SMALL_MAP = 0xe0;
    static final int SMALL_VECTOR = 0xf0;

    /** Messages of step names by the hash of their keyword; an entry is immutable, so threads may race for a place. */
    private static final Name[] NAMES = new Name[256];

    private record Name(Keyword keyword, byte[] message) {}

    private Codec() {}

    /** The message of a value; at most 144 MiB of EDN text. */
    public static byte[] encode(Object value) {
        return encode(value, Map.of());
    }

    /**
     * The message of a value. What stands under a map key (keyword or string) named in {@code limits}, outside
     * another such value, is the caller's own: at most so many bytes of EDN text, and with a depth of its own.
     *
     * @throws CodecException where EDN cannot hold a part of the value, or a bound is passed
     */
    public static byte[] encode(Object value, Map<String, Long> limits) {
        return Encoder.message(value, limits);
    }

    /** As {@link #encode(Object, Map)}, lent to one native call, which has to follow. */
    public static Encoder lend(Object value, Map<String, Long> limits) {
        return Encoder.of(value, limits);
    }

    /** The message of a step's name. Those of keywords are kept: most flows have few. */
    public static byte[] encodeName(Object name) {
        if (!(name instanceof Keyword)) {
            return encode(name.toString());
        }
        Keyword keyword = (Keyword) name;
        int place = keyword.hasheq() & NAMES.length - 1;
        Name known = NAMES[place];
        if (known == null || known.keyword != keyword) {
            known = new Name(keyword, encode(keyword.sym.toString()));
            NAMES[place] = known;
        }
        return known.message;
    }

    /** The value of the message that begins at {@code from} and ends with the array. */
    public static Object decode(byte[] bytes, int from) {
        return new Decoder(bytes, from).message();
    }
}
