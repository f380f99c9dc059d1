package errand.impl;

import clojure.lang.IFn;
import java.io.InputStream;
import java.util.Objects;

/** The bytes of a file as a stream that fetches them a part at a time. It does not know where they are. */
public final class FileStream extends InputStream {
    private final IFn parts;
    private byte[] part = {};
    private int at;

    /** {@code parts} gives the next part whenever it is called; an empty one where there is none any more. */
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
            part = (byte[]) parts.invoke();
            at = 0;
        }
        return part.length - at;
    }
}
