package errand.impl;

import clojure.lang.Keyword;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;

/** The keywords that cross as numbers, from the list that the native half has built in. */
final class Words {
    static final Keyword[] BY_NUMBER = read();
    static final Map<Keyword, Integer> NUMBERS = numbers();

    private Words() {}

    private static Keyword[] read() {
        try (InputStream in = Words.class.getResourceAsStream("words.txt")) {
            if (in == null) {
                throw new IllegalStateException("resource errand/impl/words.txt is not on the class path");
            }
            return new BufferedReader(new InputStreamReader(in, StandardCharsets.UTF_8))
                    .lines()
                    .filter(line -> !line.isEmpty() && !line.startsWith("# "))
                    .map(Keyword::intern)
                    .toArray(Keyword[]::new);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static Map<Keyword, Integer> numbers() {
        Map<Keyword, Integer> numbers = new HashMap<>();
        for (int number = 0; number < BY_NUMBER.length; number++) {
            numbers.put(BY_NUMBER[number], number);
        }
        return numbers;
    }
}
