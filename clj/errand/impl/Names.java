package errand.impl;

import clojure.lang.EdnReader;
import clojure.lang.Keyword;
import clojure.lang.PersistentArrayMap;
import clojure.lang.Symbol;

/** Which keywords and symbols come back from EDN text as they were; {@code clojure.edn} itself is asked. */
final class Names {
    private Names() {}

    static boolean isKeyword(Keyword keyword) {
        return isPlain(keyword.sym) || comesBack(":" + keyword.sym, keyword);
    }

    static boolean isSymbol(Symbol symbol) {
        return isPlain(symbol) && !isWord(symbol) || comesBack(symbol.toString(), symbol);
    }

    private static boolean isWord(Symbol symbol) {
        String name = symbol.getName();
        return name.equals("nil") || name.equals("true") || name.equals("false");
    }

    /** A name without namespace that begins with a letter, with letters, digits and common marks: told at once. */
    private static boolean isPlain(Symbol symbol) {
        String name = symbol.getName();
        if (symbol.getNamespace() != null || name.isEmpty() || !isLetter(name.charAt(0))) {
            return false;
        }
        for (int i = 1; i < name.length(); i++) {
            char c = name.charAt(i);
            if (!isLetter(c) && !(c >= '0' && c <= '9') && "-_.?!*+<>=".indexOf(c) < 0) {
                return false;
            }
        }
        return true;
    }

    private static boolean isLetter(char c) {
        return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z';
    }

    private static boolean comesBack(String text, Object name) {
        try {
            return name.equals(EdnReader.readString(text, PersistentArrayMap.EMPTY));
        } catch (RuntimeException e) {
            return false;
        }
    }
}
