package errand.impl;

import clojure.lang.Compiler;
import clojure.lang.Fn;
import clojure.lang.IDeref;
import clojure.lang.IRecord;
import clojure.lang.ITransientCollection;
import clojure.lang.Keyword;
import clojure.lang.Symbol;
import clojure.lang.Var;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.Temporal;
import java.time.temporal.TemporalAmount;
import java.util.regex.Pattern;

/**
 * How refused values are shown: never by printing what may not end, nor by calling code of unknown classes.
 * It does not decide what is refused.
 */
final class Shown {
    private static final int LENGTH_MAX = 60;

    private Shown() {}

    /** What it is, in a word or two. */
    static String kind(Object x) {
        if (x instanceof Var) {
            return "var";
        } else if (x instanceof Fn) {
            return "function";
        } else if (x instanceof Pattern) {
            return "regex";
        } else if (x instanceof IRecord) {
            return "record";
        } else if (x instanceof IDeref) {
            return "reference";
        } else if (x instanceof ITransientCollection) {
            return "transient";
        } else if (x instanceof Class) {
            return "class";
        } else if (x.getClass().isArray()) {
            return "array";
        } else if (x instanceof Throwable) {
            return "exception";
        } else if (x instanceof Enum) {
            return "enum";
        }
        return "object";
    }

    /** What to use instead. */
    static String hint(Object x) {
        if (x instanceof Instant) {
            return "use #inst, (java.util.Date/from instant)";
        } else if (x instanceof Duration) {
            return "use milliseconds or text such as \"10s\"";
        } else if (x instanceof Temporal || x instanceof TemporalAmount) {
            return "use its text, (str x), or #inst";
        } else if (x instanceof Var || x instanceof Fn) {
            return "use data that names what is to be done";
        } else if (x instanceof Pattern) {
            return "use its text, (str regex)";
        } else if (x instanceof IRecord) {
            return "use a map, (into {} record)";
        } else if (x instanceof IDeref) {
            return "use what it holds, (deref x)";
        } else if (x instanceof ITransientCollection) {
            return "use (persistent! x)";
        } else if (x instanceof byte[]) {
            return "use text such as base64, or a vector, (vec bytes)";
        } else if (x.getClass().isArray()) {
            return "use a vector, (vec array)";
        } else if (x instanceof Throwable) {
            return "use (Throwable->map e) with what EDN can hold, or (ex-message e)";
        } else if (x instanceof Enum || x instanceof CharSequence || x instanceof Class) {
            return "use its text, (str x)";
        } else if (x instanceof Number) {
            return "use a plain number, (long x)";
        } else if (x instanceof Iterable) {
            return "use a vector, (vec x)";
        }
        return "use a map, a string or another value that EDN has";
    }

    /** The value in short. */
    static String value(Object x) {
        if (x instanceof String) {
            return '"' + clip((String) x) + '"';
        } else if (x instanceof Keyword || x instanceof Symbol || x instanceof Var) {
            return clip(x.toString());
        } else if (x instanceof Character) {
            return "\\u" + Integer.toHexString((Character) x);
        } else if (x instanceof Pattern) {
            return "#\"" + clip(((Pattern) x).pattern()) + '"';
        } else if (x instanceof Class) {
            return ((Class<?>) x).getName();
        } else if (x instanceof Fn) {
            return clip(Compiler.demunge(x.getClass().getName()));
        } else if (isOfJavaTime(x)) {
            return '"' + clip(x.toString()) + "\" (" + x.getClass().getName() + ')';
        }
        return "of " + x.getClass().getTypeName();
    }

    private static boolean isOfJavaTime(Object x) {
        return x instanceof java.util.Date ? x.getClass() == java.util.Date.class : x.getClass().getName().startsWith("java.time.");
    }

    /** A map key, or what kind of thing another value is. */
    static String name(Object x) {
        return x instanceof String || x instanceof Keyword || x instanceof Symbol ? value(x) : x.getClass().getTypeName();
    }

    static String clip(String text) {
        return text.length() <= LENGTH_MAX ? text : text.substring(0, LENGTH_MAX) + '…';
    }
}
