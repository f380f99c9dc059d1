package errand.impl;

/** What stands for an exception in the log: its text, cause and stack, and nothing else of it. It does not choose them. */
public final class StandIn extends Throwable {
    private static final long serialVersionUID = 1;

    private final String text;

    /** {@code text} is how the log shows it. */
    public StandIn(String text, String message, Throwable cause, StackTraceElement[] stack) {
        super(message, cause);
        this.text = text;
        setStackTrace(stack);
    }

    @Override
    public String toString() {
        return text;
    }
}
