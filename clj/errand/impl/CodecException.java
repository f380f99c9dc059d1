package errand.impl;

import clojure.lang.IPersistentVector;

/** A value that cannot cross: where it stands, what it is, and what to use instead. */
public final class CodecException extends RuntimeException {
    private static final long serialVersionUID = 1;

    /** {@code "invalid"} or {@code "too-large"}. */
    public final String kind;
    /** Map keys and indexes from the outermost value inwards. */
    public final transient IPersistentVector path;
    /** The value in short. */
    public final String value;
    /** What to use instead; null where there is nothing to say. */
    public final String hint;

    CodecException(String kind, IPersistentVector path, String value, String problem, String hint) {
        super(hint == null ? problem : problem + ", " + hint);
        this.kind = kind;
        this.path = path;
        this.value = value;
        this.hint = hint;
    }
}
