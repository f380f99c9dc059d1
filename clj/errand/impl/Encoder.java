package errand.impl;

import clojure.lang.BigInt;
import clojure.lang.Counted;
import clojure.lang.IPersistentMap;
import clojure.lang.IPersistentVector;
import clojure.lang.IRecord;
import clojure.lang.ISeq;
import clojure.lang.Keyword;
import clojure.lang.PersistentVector;
import clojure.lang.RT;
import clojure.lang.Ratio;
import clojure.lang.Sequential;
import clojure.lang.Symbol;
import clojure.lang.TaggedLiteral;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.Arrays;
import java.util.Date;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.RandomAccess;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.atomic.AtomicReferenceArray;

/**
 * Writes one message. The bytes of EDN text are counted on the way, never above the true number, so that what is
 * too large or does not end is refused early; the exact number is the native half's to check.
 *
 * <p>An encoder that holds a message lends its bytes to one native call, and is used again after it: what a call costs
 * on the heap is then what its reply is.
 */
public final class Encoder {
    /** Above the largest batch, whose size the native half knows better. */
    private static final long MESSAGE_MAX = 144L << 20;
    /** Items of a sequence of unknown length outside the caller's own values. */
    private static final int UNCOUNTED_MAX = 1_000_000;
    /** The years 0000 to 9999, which {@code #inst} can hold, in milliseconds. */
    private static final long INST_MIN = -719_530L * 86_400_000;
    private static final long INST_MAX = 2_932_897L * 86_400_000 - 1;
    /** Encoders that are free, one for each of a few threads: a place is empty while its encoder is in use. */
    private static final AtomicReferenceArray<Encoder> FREE = new AtomicReferenceArray<>(256);
    /** An encoder whose message was larger is let go. */
    private static final int KEPT_BYTES = 16 << 10;
    /** From this size on bytes are added by halves, not doubled: what is set aside in vain is bounded by that. */
    private static final int LARGE = 1 << 20;
    /** How keywords are written, by their hash; an entry is immutable, so threads may race for a place. */
    private static final Known[] KEYWORDS = new Known[1024];

    /** In {@code path}: an index, kept in {@code indexes}; or nothing, inside a set or a tag. */
    private static final Object INDEX = new Object();
    private static final Object NOTHING = new Object();

    private Map<String, Long> limits;
    private byte[] out = new byte[512];
    private int at;
    private long size;
    private long sizeMax = MESSAGE_MAX;
    private int level;
    /** The level at which the caller's own value began; -1 outside one. */
    private int base = -1;
    private Object limitKey;
    private long limit;
    private Object[] path = new Object[8];
    private int[] indexes = new int[path.length];

    private record Known(Keyword keyword, byte[] bytes, int size) {}

    private Encoder() {}

    /** An encoder that holds the message of {@code value}; it is to be given to {@link #free} unless this throws. */
    static Encoder of(Object value, Map<String, Long> limits) {
        Encoder encoder = FREE.getAndSet(place(), null);
        if (encoder == null) {
            encoder = new Encoder();
        }
        encoder.limits = limits;
        encoder.put(Codec.VERSION);
        encoder.value(value);
        return encoder;
    }

    /** The message of a value. */
    static byte[] message(Object value, Map<String, Long> limits) {
        Encoder encoder = of(value, limits);
        byte[] message = Arrays.copyOf(encoder.out, encoder.at);
        encoder.free();
        return message;
    }

    private static int place() {
        return (int) Thread.currentThread().getId() & FREE.length() - 1;
    }

    /** The message, up to {@link #length}. */
    byte[] bytes() {
        return out;
    }

    int length() {
        return at;
    }

    /** Ends the use of the message. */
    void free() {
        if (out.length <= KEPT_BYTES) {
            at = 0;
            size = 0;
            limits = null;
            limitKey = null;
            Arrays.fill(path, null);
            FREE.set(place(), this);
        }
    }

    private void value(Object x) {
        if (x instanceof String) {
            string((String) x);
        } else if (x instanceof Keyword) {
            keyword((Keyword) x);
        } else if (x instanceof Long) {
            integer((Long) x);
        } else if (x == null) {
            simple(Codec.NIL, 3);
        } else if (x instanceof Boolean) {
            // Not by identity: there may be other Booleans than the two constants.
            boolean value = (Boolean) x;
            simple(value ? Codec.TRUE : Codec.FALSE, value ? 4 : 5);
        } else if (x instanceof Map) {
            map((Map<?, ?>) x);
        } else if (x instanceof IPersistentVector) {
            vector((IPersistentVector) x);
        } else if (x instanceof Number) {
            number((Number) x);
        } else {
            other(x);
        }
    }

    private void other(Object x) {
        if (x instanceof Sequential) {
            items(Codec.LIST, 2, x instanceof ISeq ? null : RT.iter(x), x);
        } else if (x instanceof Set) {
            items(Codec.SET, 3, ((Set<?>) x).iterator(), x);
        } else if (x instanceof List) {
            items(Codec.VECTOR, 2, ((List<?>) x).iterator(), x);
        } else if (x instanceof Symbol) {
            name(Codec.SYMBOL, x, ((Symbol) x).toString());
        } else if (x instanceof Character) {
            character((Character) x);
        } else if (x instanceof Date) {
            instant((Date) x);
        } else if (x instanceof UUID) {
            count(44);
            put(Codec.UUID);
            eight(((UUID) x).getMostSignificantBits());
            eight(((UUID) x).getLeastSignificantBits());
        } else if (x instanceof TaggedLiteral) {
            tagged((TaggedLiteral) x);
        } else {
            throw refused(x);
        }
    }

    // Collections

    private void begin(int tag, int sizeOfMarks, Object x) {
        if (level - Math.max(base, 0) >= Codec.DEPTH_MAX) {
            String problem = "nesting is deeper than " + Codec.DEPTH_MAX + " levels";
            throw new CodecException("invalid", path(), Shown.name(x), problem, null);
        }
        count(sizeOfMarks);
        put(tag);
        if (level++ == path.length) {
            path = Arrays.copyOf(path, 2 * level);
            indexes = Arrays.copyOf(indexes, 2 * level);
        }
    }

    private int countHere() {
        ensure(4);
        at += 4;
        return at - 4;
    }

    private void fill(int place, int count) {
        out[place] = (byte) (count >>> 24);
        out[place + 1] = (byte) (count >>> 16);
        out[place + 2] = (byte) (count >>> 8);
        out[place + 3] = (byte) count;
    }

    private void map(Map<?, ?> map) {
        if (map instanceof IRecord) {
            throw refused(map);
        }
        boolean isSmall = map instanceof IPersistentMap && map.size() < 16;
        begin(isSmall ? Codec.SMALL_MAP + map.size() : Codec.MAP, 2, map);
        int place = isSmall ? 0 : countHere();
        int entries = 0;
        for (Map.Entry<?, ?> entry : map.entrySet()) {
            count(entries++ == 0 ? 1 : 3);
            Object key = entry.getKey();
            path[level - 1] = NOTHING;
            value(key);
            path[level - 1] = key;
            Long own = base < 0 && !limits.isEmpty() ? limitOf(key) : null;
            if (own == null) {
                value(entry.getValue());
            } else {
                limited(key, own, entry.getValue());
            }
        }
        level--;
        if (!isSmall) {
            fill(place, entries);
        }
    }

    private Long limitOf(Object key) {
        if (key instanceof Keyword) {
            Keyword keyword = (Keyword) key;
            return keyword.getNamespace() == null ? limits.get(keyword.getName()) : null;
        }
        return key instanceof String ? limits.get(key) : null;
    }

    /** A value of the caller's own, with a size and a depth of its own. */
    private void limited(Object key, long own, Object value) {
        base = level;
        limitKey = key;
        limit = own;
        sizeMax = Math.min(MESSAGE_MAX, size + own);
        value(value);
        sizeMax = MESSAGE_MAX;
        base = -1;
    }

    private void vector(IPersistentVector vector) {
        int length = vector.count();
        boolean isSmall = length < 16;
        begin(isSmall ? Codec.SMALL_VECTOR + length : Codec.VECTOR, 2, vector);
        if (!isSmall) {
            fill(countHere(), length);
        }
        path[level - 1] = INDEX;
        for (int i = 0; i < length; i++) {
            indexes[level - 1] = i;
            count(i == 0 ? 0 : 1);
            value(vector.nth(i));
        }
        level--;
    }

    /** Goes through an iterator, or, where there is none, from seq to seq of {@code x}. */
    private void items(int tag, int sizeOfMarks, Iterator<?> iterator, Object x) {
        begin(tag, sizeOfMarks, x);
        int place = countHere();
        path[level - 1] = tag == Codec.SET ? NOTHING : INDEX;
        boolean isCounted = x instanceof Counted || x instanceof Set || x instanceof RandomAccess;
        ISeq seq = iterator == null ? RT.seq(x) : null;
        int items = 0;
        while (iterator == null ? seq != null : iterator.hasNext()) {
            Object item = iterator == null ? seq.first() : iterator.next();
            indexes[level - 1] = items;
            count(items++ == 0 ? 0 : 1);
            if (items > UNCOUNTED_MAX && base < 0 && !isCounted) {
                throw new CodecException("too-large", pathTo(level - 1), Shown.name(x),
                        "sequence has more than " + UNCOUNTED_MAX + " items", null);
            }
            value(item);
            seq = iterator == null ? seq.next() : null;
        }
        level--;
        fill(place, items);
    }

    private void tagged(TaggedLiteral literal) {
        Symbol tag = literal.tag;
        String name = tag.toString();
        if (name.equals("inst") || name.equals("uuid")) {
            throw invalid(literal, "tagged literal #" + name + " stands for another value",
                    name.equals("inst") ? "use a java.util.Date" : "use a java.util.UUID");
        }
        if (name.isEmpty() || !Character.isLetter(name.charAt(0)) || !Names.isSymbol(tag)) {
            throw invalid(literal, "tag \"" + Shown.clip(name) + "\" cannot be written as EDN",
                    "use a symbol that begins with a letter");
        }
        begin(Codec.TAGGED, 2, literal);
        utf8(name, literal);
        path[level - 1] = NOTHING;
        value(literal.form);
        level--;
    }

    // Scalars

    private void simple(int tag, int textSize) {
        count(textSize);
        put(tag);
    }

    private void integer(long value) {
        count(value >= 0 ? digits(value) : value == Long.MIN_VALUE ? 20 : 1 + digits(-value));
        if (value >= 0 && value < 32) {
            put(Codec.SMALL_INT + (int) value);
        } else {
            put(Codec.INT);
            varint(value << 1 ^ value >> 63);
        }
    }

    private static int digits(long value) {
        int digits = 1;
        for (long rest = value; rest >= 10; rest /= 10) {
            digits++;
        }
        return digits;
    }

    private void number(Number x) {
        if (x instanceof Double || x instanceof Float) {
            count(3);
            put(Codec.DOUBLE);
            eight(Double.doubleToRawLongBits(x.doubleValue()));
        } else if (x instanceof Integer || x instanceof Short || x instanceof Byte) {
            integer(x.longValue());
        } else if (x instanceof BigInt) {
            digits(Codec.BIG_INT, ((BigInt) x).toBigInteger(), x);
        } else if (x instanceof BigInteger) {
            digits(Codec.BIG_INT, (BigInteger) x, x);
        } else if (x instanceof BigDecimal) {
            bits(((BigDecimal) x).unscaledValue());
            String text = x.toString();
            count(1);
            put(Codec.DECIMAL);
            utf8(text, x);
        } else if (x instanceof Ratio) {
            Ratio ratio = (Ratio) x;
            digits(Codec.RATIO, ratio.numerator, x);
            bits(ratio.denominator);
            utf8(ratio.denominator.toString(), x);
        } else {
            throw refused(x);
        }
    }

    private void digits(int tag, BigInteger value, Object x) {
        bits(value);
        count(1);
        put(tag);
        utf8(value.toString(), x);
    }

    /** Refuses a number that is too large before its digits are computed, which takes long: 4 bits hold a digit. */
    private void bits(BigInteger value) {
        long before = size;
        count(value.bitLength() / 4);
        size = before;
    }

    private void character(char c) {
        if (Character.isSurrogate(c)) {
            throw invalid(c, "character is half of a surrogate pair", "use a string");
        }
        count(2);
        put(Codec.CHAR);
        varint(c);
    }

    private void instant(Date date) {
        long millis = date.getTime();
        if (millis < INST_MIN || millis > INST_MAX) {
            throw invalid(date, "date is outside the years 0000 to 9999, which #inst can hold", "use milliseconds");
        }
        count(37);
        put(Codec.INST);
        eight(millis);
    }

    private void keyword(Keyword keyword) {
        int place = keyword.hasheq() & KEYWORDS.length - 1;
        Known known = KEYWORDS[place];
        if (known == null || known.keyword != keyword) {
            known = known(keyword);
            KEYWORDS[place] = known;
        }
        count(known.size);
        byte[] bytes = known.bytes;
        ensure(bytes.length);
        if (bytes.length == 1) {
            out[at] = bytes[0];
        } else {
            System.arraycopy(bytes, 0, out, at, bytes.length);
        }
        at += bytes.length;
    }

    private Known known(Keyword keyword) {
        Integer number = Words.NUMBERS.get(keyword);
        int size = 1 + keyword.sym.toString().length();
        if (number != null && number < 128) {
            return new Known(keyword, new byte[] {(byte) (Codec.WORD + number)}, size);
        } else if (number != null) {
            return new Known(keyword, new byte[] {Codec.FAR_WORD, (byte) (number - 128)}, size);
        }
        int start = at;
        long before = size;
        name(Codec.KEYWORD, keyword, keyword.sym.toString());
        byte[] bytes = Arrays.copyOfRange(out, start, at);
        at = start;
        return new Known(keyword, bytes, size);
    }

    private void name(int tag, Object x, String text) {
        boolean isName = x instanceof Keyword ? Names.isKeyword((Keyword) x) : Names.isSymbol((Symbol) x);
        if (!isName) {
            throw invalid(x, (x instanceof Keyword ? "keyword" : "symbol") + " named \"" + Shown.clip(text)
                    + "\" cannot be written as EDN", "use a string");
        }
        put(tag);
        utf8(text, x);
    }

    private void string(String text) {
        int length = text.length();
        count(length + 2L);
        if (length < 32) {
            int start = at;
            put(Codec.SHORT_STR + length);
            if (!ascii(text, length)) {
                at = start;
                wide(text, text);
            }
        } else {
            int start = at;
            put(Codec.STR);
            varint(length);
            if (!ascii(text, length)) {
                at = start;
                wide(text, text);
            }
        }
    }

    /** Appends a text of ASCII, counting what EDN text escapes; false where it has other characters. */
    private boolean ascii(String text, int length) {
        ensure(length);
        byte[] out = this.out;
        int at = this.at;
        int escapes = 0;
        for (int i = 0; i < length; i++) {
            char c = text.charAt(i);
            if (c >= 0x80) {
                return false;
            }
            if (c < ' ' ? isEscaped(c) : c == '"' || c == '\\') {
                escapes++;
            }
            out[at + i] = (byte) c;
        }
        this.at = at + length;
        count(escapes);
        return true;
    }

    private static boolean isEscaped(char c) {
        return c == '\n' || c == '\t' || c == '\r' || c == '\f' || c == '\b';
    }

    private void wide(String text, Object x) {
        int bytes = utf8Length(text, x);
        if (bytes < 32) {
            put(Codec.SHORT_STR + bytes);
        } else {
            put(Codec.STR);
            varint(bytes);
        }
        encode(text, bytes);
        count(bytes - text.length());
    }

    /** Length and UTF-8 of a name or number, which is counted. */
    private void utf8(String text, Object x) {
        int bytes = utf8Length(text, x);
        count(bytes);
        varint(bytes);
        encode(text, bytes);
    }

    private int utf8Length(String text, Object x) {
        long bytes = 0;
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (!Character.isSurrogate(c)) {
                bytes += c < 0x80 ? 1 : c < 0x800 ? 2 : 3;
            } else if (Character.isHighSurrogate(c) && i + 1 < text.length()
                    && Character.isLowSurrogate(text.charAt(i + 1))) {
                bytes += 4;
                i++;
            } else {
                String kind = x instanceof Keyword ? "keyword" : x instanceof Symbol ? "symbol" : "string";
                throw invalid(x, kind + " has an unpaired surrogate \\u" + Integer.toHexString(c) + " at " + i,
                        "use text that UTF-8 can hold");
            }
        }
        // A string of that many bytes has passed the bound on the message already.
        return Math.toIntExact(bytes);
    }

    private void encode(String text, int bytes) {
        ensure(bytes);
        for (int i = 0; i < text.length(); i++) {
            int c = text.charAt(i);
            if (c < 0x80) {
                out[at++] = (byte) c;
            } else if (c < 0x800) {
                out[at++] = (byte) (0xc0 | c >> 6);
                out[at++] = (byte) (0x80 | c & 0x3f);
            } else if (!Character.isSurrogate((char) c)) {
                out[at++] = (byte) (0xe0 | c >> 12);
                out[at++] = (byte) (0x80 | c >> 6 & 0x3f);
                out[at++] = (byte) (0x80 | c & 0x3f);
            } else {
                int point = Character.toCodePoint((char) c, text.charAt(++i));
                out[at++] = (byte) (0xf0 | point >> 18);
                out[at++] = (byte) (0x80 | point >> 12 & 0x3f);
                out[at++] = (byte) (0x80 | point >> 6 & 0x3f);
                out[at++] = (byte) (0x80 | point & 0x3f);
            }
        }
    }

    // Bytes, bounds and refusals

    private void ensure(int more) {
        if (out.length - at < more) {
            int length = out.length < LARGE ? 2 * out.length : out.length + out.length / 2;
            out = Arrays.copyOf(out, Math.max(length, at + more));
        }
    }

    private void put(int b) {
        ensure(1);
        out[at++] = (byte) b;
    }

    private void varint(long value) {
        ensure(10);
        long rest = value;
        while ((rest & ~0x7fL) != 0) {
            out[at++] = (byte) (rest & 0x7f | 0x80);
            rest >>>= 7;
        }
        out[at++] = (byte) rest;
    }

    private void eight(long value) {
        ensure(8);
        for (int shift = 56; shift >= 0; shift -= 8) {
            out[at++] = (byte) (value >>> shift);
        }
    }

    private void count(long textSize) {
        size += textSize;
        if (size > sizeMax) {
            throw tooLarge();
        }
    }

    private CodecException tooLarge() {
        if (base < 0 || sizeMax == MESSAGE_MAX) {
            return new CodecException("too-large", PersistentVector.EMPTY, null,
                    "value is over " + MESSAGE_MAX + " bytes of EDN text", "or it does not end");
        }
        return new CodecException("too-large", pathTo(base), null,
                Shown.name(limitKey) + " is over " + limit + " bytes of EDN text", "or it does not end");
    }

    private CodecException refused(Object x) {
        return invalid(x, Shown.kind(x) + " " + Shown.value(x) + " cannot be written as EDN", Shown.hint(x));
    }

    private CodecException invalid(Object x, String problem, String hint) {
        return new CodecException("invalid", path(), Shown.value(x), problem, hint);
    }

    private IPersistentVector path() {
        return pathTo(level);
    }

    private IPersistentVector pathTo(int end) {
        IPersistentVector keys = PersistentVector.EMPTY;
        for (int i = 0; i < end; i++) {
            if (path[i] == INDEX) {
                keys = keys.cons((long) indexes[i]);
            } else if (path[i] != NOTHING) {
                keys = keys.cons(path[i]);
            }
        }
        return keys;
    }
}
