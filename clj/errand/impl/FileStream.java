package errand.impl;

import clojure.lang.IFn;
import clojure.lang.Keyword;
import java.io.InputStream;
import java.util.Base64;
import java.util.Map;
import java.util.Objects;

/** The bytes of a file as a stream that fetches them a part at a time. It does not know where they are. */
public final class FileStream extends InputStream {
    private static final Keyword CONTENT = Keyword.intern("content");
    private static final Keyword NEXT_OFFSET = Keyword.intern("next-offset");

    private final IFn parts;
    private Object offset = 0L;
    private byte[] part = {};
    private int at;

    /** {@code parts} gives the reply that has the part at an offset, in base64; an empty one after the last. */
    public FileStream(IFn parts) {
        this.parts = parts;
    }

    @Override
    public int read() {
        return left() == 0 ? -1 : part[at++] & 0xff;
    }

    @Override
    public int read(byte[] into, int offset, int length) {
        Objects.checkFromIndexSize(offset, length, into.length);
        if (length == 0) {
            return 0;
        }
        int taken = Math.min(length, left());
        System.arraycopy(part, at, into, offset, taken);
        at += taken;
        return taken == 0 ? -1 : taken;
    }

    /** Bytes that are at hand, the next part being fetched where that is over. */
    private int left() {
        if (at == part.length) {
            Map<?, ?> reply = (Map<?, ?>) parts.invoke(offset);
            part = Base64.getDecoder().decode((String) reply.get(CONTENT));
            offset = reply.get(NEXT_OFFSET);
            at = 0;
        }
        return part.length - at;
    }
}
