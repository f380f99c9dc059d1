package errand.impl;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;

/**
 * The database files that are open in this JVM, by device and inode, where every class loader sees them: in the system
 * properties. Two copies of SQLite in one process corrupt a file that both open (POSIX locks belong to the process), so
 * a file that another copy of the native library has open is refused. It does not open or read files.
 */
public final class OpenFiles {
    /** Stands for this copy of the native library: a class loader loads at most one. */
    private static final String COPY = UUID.randomUUID().toString();
    private static final String PREFIX = "errand.open.";

    private final Path path;
    private final List<String> keys = new ArrayList<>();

    private OpenFiles(Path path) {
        this.path = path;
    }

    /** Another copy of the native library has the file open. */
    public static final class HeldElsewhere extends IOException {
        private static final long serialVersionUID = 1;

        HeldElsewhere(Path path) {
            super("database \"" + path + "\" is open through another copy of Errand's native library in this JVM; two copies"
                + " of SQLite on one file corrupt it: close it there first, or use one class loader");
        }
    }

    /** Registers a file that is about to be opened, whether it exists or not. */
    public static OpenFiles register(Path path) throws IOException {
        OpenFiles files = new OpenFiles(path);
        try {
            Path real = Files.exists(path) ? path.toRealPath() : path;
            Path folder = real.getParent();
            if (folder != null && Files.isDirectory(folder)) {
                // By name too: of two copies that are about to make one file, only one may.
                files.add(identity(folder) + "/" + real.getFileName());
            }
            if (Files.exists(real)) {
                files.add(identity(real));
            }
            return files;
        } catch (IOException | RuntimeException failure) {
            files.release();
            throw failure;
        }
    }

    /** Registers the file itself, now that opening it has made it. */
    public void opened() throws IOException {
        String identity = PREFIX + identity(path);
        if (!keys.contains(identity)) {
            add(identity(path));
        }
    }

    /** Takes back what was registered. Idempotent. */
    public synchronized void release() {
        for (String key : keys) {
            System.getProperties().compute(key, (name, held) -> fewer((String) held));
        }
        keys.clear();
    }

    private synchronized void add(String identity) throws HeldElsewhere {
        String key = PREFIX + identity;
        Object held = System.getProperties().compute(key, (name, before) -> more((String) before));
        if (!((String) held).startsWith(COPY)) {
            throw new HeldElsewhere(path);
        }
        keys.add(key);
    }

    private static String more(String held) {
        if (held == null) {
            return COPY + " 1";
        }
        return held.startsWith(COPY) ? COPY + " " + (count(held) + 1) : held;
    }

    private static String fewer(String held) {
        return held == null || count(held) <= 1 ? null : COPY + " " + (count(held) - 1);
    }

    private static int count(String held) {
        return Integer.parseInt(held.substring(held.indexOf(' ') + 1));
    }

    private static String identity(Path path) throws IOException {
        return Files.getAttribute(path, "unix:dev") + "." + Files.getAttribute(path, "unix:ino");
    }
}
