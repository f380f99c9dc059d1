package errand.impl;

import clojure.lang.BigInt;
import clojure.lang.IPersistentMap;
import clojure.lang.Keyword;
import clojure.lang.LazilyPersistentVector;
import clojure.lang.PersistentArrayMap;
import clojure.lang.PersistentHashMap;
import clojure.lang.PersistentHashSet;
import clojure.lang.PersistentList;
import clojure.lang.PersistentVector;
import clojure.lang.Ratio;
import clojure.lang.Symbol;
import clojure.lang.TaggedLiteral;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Date;
import java.util.UUID;

/** Reads one message. Its writer has checked keys and depth, so maps and sets are built without looking again. */
final class Decoder {
    /** Maps of keywords up to this size keep their order and are quicker to build and to read as arrays. */
    private static final int ARRAY_MAP_MAX = 32;
    private static final int LEVELS_MAX = 4 * Codec.DEPTH_MAX;
    /** Keywords by the hash of their bytes; an entry is immutable, so threads may race for a place. */
    private static final Known[] KEYWORDS = new Known[1024];

    private final byte[] in;
    private int at;
    private int level;

    private record Known(byte[] name, Keyword keyword) {}

    Decoder(byte[] in, int from) {
        this.in = in;
        this.at = from;
    }

    Object message() {
        try {
            byte version = in[at++];
            if (version != Codec.VERSION) {
                throw wrong("has the version " + version + ", " + Codec.VERSION
                        + " is allowed: the Java classes and the native library are of different releases");
            }
            Object value = value();
            if (at != in.length) {
                throw wrong("goes on after its value");
            }
            return value;
        } catch (IndexOutOfBoundsException e) {
            throw wrong("ends too early");
        }
    }

    private static CodecException wrong(String problem) {
        return new CodecException("invalid", PersistentVector.EMPTY, null, "binary form " + problem, null);
    }

    private Object value() {
        int tag = in[at++] & 0xff;
        if (tag >= Codec.SMALL_VECTOR) {
            return vector(tag - Codec.SMALL_VECTOR);
        } else if (tag >= Codec.SMALL_MAP) {
            return map(tag - Codec.SMALL_MAP);
        } else if (tag >= Codec.SHORT_STR) {
            return text(tag - Codec.SHORT_STR);
        } else if (tag >= Codec.WORD) {
            return Words.BY_NUMBER[tag - Codec.WORD];
        } else if (tag >= Codec.SMALL_INT) {
            return Long.valueOf(tag - Codec.SMALL_INT);
        }
        switch (tag) {
            case Codec.NIL: return null;
            case Codec.FALSE: return Boolean.FALSE;
            case Codec.TRUE: return Boolean.TRUE;
            case Codec.INT: return integer();
            case Codec.DOUBLE: return Double.longBitsToDouble(eight());
            case Codec.BIG_INT: return BigInt.fromBigInteger(new BigInteger(counted()));
            case Codec.RATIO: return new Ratio(new BigInteger(counted()), new BigInteger(counted()));
            case Codec.DECIMAL: return new BigDecimal(counted());
            case Codec.CHAR: return (char) varint();
            case Codec.STR: return counted();
            case Codec.KEYWORD: return keyword();
            case Codec.SYMBOL: return Symbol.intern(counted());
            case Codec.LIST: return PersistentList.create(Arrays.asList(items(count(1))));
            case Codec.VECTOR: return vector(count(1));
            case Codec.MAP: return map(count(2));
            case Codec.SET: return PersistentHashSet.create(items(count(1)));
            case Codec.INST: return new Date(eight());
            case Codec.UUID: return new UUID(eight(), eight());
            case Codec.TAGGED: return tagged();
            case Codec.FAR_WORD: return Words.BY_NUMBER[128 + (in[at++] & 0xff)];
            default: throw wrong("has an unknown tag " + tag);
        }
    }

    private Object tagged() {
        Symbol tag = Symbol.intern(counted());
        return TaggedLiteral.create(tag, items(1)[0]);
    }

    private Object vector(int count) {
        return count == 0 ? PersistentVector.EMPTY : LazilyPersistentVector.createOwning(items(count));
    }

    private IPersistentMap map(int count) {
        if (count == 0) {
            return PersistentArrayMap.EMPTY;
        }
        Object[] items = items(2 * count);
        if (count <= 8 || (count <= ARRAY_MAP_MAX && hasKeywordKeys(items))) {
            return new PersistentArrayMap(items);
        }
        return PersistentHashMap.create(items);
    }

    private static boolean hasKeywordKeys(Object[] items) {
        for (int i = 0; i < items.length; i += 2) {
            if (!(items[i] instanceof Keyword)) {
                return false;
            }
        }
        return true;
    }

    private Object[] items(int count) {
        if (++level > LEVELS_MAX) {
            throw wrong("is nested too deeply");
        }
        Object[] items = new Object[count];
        for (int i = 0; i < count; i++) {
            items[i] = value();
        }
        level--;
        return items;
    }

    /** A count that the bytes to come can fulfil. */
    private int count(int width) {
        int count = four();
        if (count < 0 || (long) count * width > in.length - at) {
            throw new IndexOutOfBoundsException();
        }
        return count;
    }

    private int four() {
        int value = (in[at] & 0xff) << 24 | (in[at + 1] & 0xff) << 16 | (in[at + 2] & 0xff) << 8 | in[at + 3] & 0xff;
        at += 4;
        return value;
    }

    private long eight() {
        return (long) four() << 32 | four() & 0xffffffffL;
    }

    private long varint() {
        long value = 0;
        for (int shift = 0; shift < 64; shift += 7) {
            byte part = in[at++];
            value |= (part & 0x7fL) << shift;
            if (part >= 0) {
                return value;
            }
        }
        throw wrong("has a malformed varint");
    }

    private Long integer() {
        long zigzag = varint();
        return zigzag >>> 1 ^ -(zigzag & 1);
    }

    private int length() {
        long length = varint();
        if (length < 0 || length > in.length - at) {
            throw new IndexOutOfBoundsException();
        }
        return (int) length;
    }

    private String counted() {
        return text(length());
    }

    private String text(int length) {
        String text = new String(in, at, length, StandardCharsets.UTF_8);
        at += length;
        return text;
    }

    private Keyword keyword() {
        int length = length();
        int hash = length;
        for (int i = at; i < at + length; i++) {
            hash = 31 * hash + in[i];
        }
        int place = (hash ^ hash >>> 10) & KEYWORDS.length - 1;
        Known known = KEYWORDS[place];
        if (known != null && Arrays.equals(known.name, 0, known.name.length, in, at, at + length)) {
            at += length;
            return known.keyword;
        }
        byte[] name = Arrays.copyOfRange(in, at, at + length);
        Keyword keyword = Keyword.intern(text(length));
        KEYWORDS[place] = new Known(name, keyword);
        return keyword;
    }
}
