package errand.impl;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

/**
 * Finds the native library: {@code -Derrand.native.path}, or the resource of this platform, copied once into a private
 * folder under a path that is named by its content. The JVM refuses to load one path twice, so two class loaders never
 * hold two copies of one build. It does not load anything.
 */
final class Library {
    private static final Set<PosixFilePermission> OTHERS_MAY_WRITE =
        Set.of(PosixFilePermission.GROUP_WRITE, PosixFilePermission.OTHERS_WRITE);
    private static final FileAttribute<?> PRIVATE_FOLDER =
        PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------"));

    /** Builds that are kept whatever their age, besides those of the last day: a JVM may be about to load one. */
    private static final int KEPT = 3;

    private Library() { }

    /** The absolute path of the library to load. */
    static String path() throws IOException {
        String override = System.getProperty("errand.native.path");
        if (override != null && !override.isEmpty()) {
            Path path = Path.of(override).toAbsolutePath();
            if (!Files.isRegularFile(path)) {
                throw new IOException("native library \"" + path + "\" of -Derrand.native.path is not a file");
            }
            // Canonical, so that the JVM knows the file again under another name.
            return path.toRealPath().toString();
        }
        String os = System.getProperty("os.name").toLowerCase(Locale.ROOT);
        boolean mac = os.startsWith("mac");
        if (!mac && !os.startsWith("linux")) {
            throw new IOException("operating system \"" + os + "\" is not supported; linux and macos are");
        }
        String name = mac ? "liberrand.dylib" : "liberrand.so";
        String resource = "errand/native/" + (mac ? "macos-" : "linux-") + architecture() + "/" + name;
        Path known = extracted(resource, name);
        return (known != null ? known : extract(bytes(resource), name)).toString();
    }

    /**
     * The copy of an earlier start, or null. What it has to be is told by {@code make build} beside the resource (hash
     * and length), so that the library itself is not read: its folder is ours alone, it was put there whole, by rename.
     */
    private static Path extracted(String resource, String name) throws IOException {
        try (InputStream in = Library.class.getClassLoader().getResourceAsStream(resource.replace(name, "sha256"))) {
            String[] told = in == null ? new String[0] : new String(in.readAllBytes(), StandardCharsets.US_ASCII).trim().split(" ");
            if (told.length != 2 || !isHash(told[0])) {
                return null;
            }
            Path folder = privateFolder().resolve(told[0]);
            Path target = folder.resolve(name);
            if (!isOurs(target) || Files.size(target) != Long.parseLong(told[1])) {
                return null;
            }
            makePrivate(folder);
            touch(folder);
            return target.toRealPath();
        }
    }

    private static String architecture() {
        String architecture = System.getProperty("os.arch");
        switch (architecture) {
            case "amd64":
            case "x86_64":
                return "x86_64";
            case "arm64":
            case "aarch64":
                return "aarch64";
            default:
                return architecture;
        }
    }

    private static byte[] bytes(String resource) throws IOException {
        try (InputStream in = Library.class.getClassLoader().getResourceAsStream(resource)) {
            if (in == null) {
                throw new IOException("native library \"" + resource + "\" is not on the class path; `make build` puts it"
                    + " into target/classes, and -Derrand.native.path names another place");
            }
            return in.readAllBytes();
        }
    }

    private static Path extract(byte[] library, String name) throws IOException {
        String hash = hash(library);
        Path folder = privateFolder().resolve(hash);
        makePrivate(folder);
        Path target = folder.resolve(name);
        if (isIntact(target, hash)) {
            touch(folder);
            return target.toRealPath();
        }
        Path fresh = Files.createTempFile(folder, name, ".new");
        try {
            write(fresh, library);
            Files.move(fresh, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } finally {
            Files.deleteIfExists(fresh);
        }
        prune(folder);
        return target.toRealPath();
    }

    /** Writes a file whose bytes are on the disk before its name is: later its length alone tells that it is whole. */
    private static void write(Path file, byte[] bytes) throws IOException {
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
            ByteBuffer rest = ByteBuffer.wrap(bytes);
            while (rest.hasRemaining()) {
                channel.write(rest);
            }
            channel.force(true);
        }
    }

    /**
     * Removes builds but for the newest few and those of the last day. A JVM that uses one keeps it: what is mapped
     * stays; one that loads it again extracts it again.
     */
    static void prune(Path newest) {
        FileTime bound = FileTime.from(Instant.now().minus(1, ChronoUnit.DAYS));
        try (DirectoryStream<Path> all = Files.newDirectoryStream(newest.getParent(), Library::isBuild)) {
            Map<Path, FileTime> times = new HashMap<>();
            for (Path folder : all) {
                if (!folder.equals(newest)) {
                    times.put(folder, Files.getLastModifiedTime(folder, LinkOption.NOFOLLOW_LINKS));
                }
            }
            List<Path> folders = new ArrayList<>(times.keySet());
            folders.sort(Comparator.comparing(times::get, Comparator.reverseOrder()));
            // The newest itself is the first of those that are kept.
            for (Path folder : folders.subList(Math.min(KEPT - 1, folders.size()), folders.size())) {
                if (times.get(folder).compareTo(bound) < 0) {
                    remove(folder);
                }
            }
        } catch (IOException | DirectoryIteratorException untidy) {
            // Another JVM may be at it too; what is left costs only space.
            System.getLogger("errand").log(System.Logger.Level.DEBUG, "old native libraries were not removed", untidy);
        }
    }

    /** Whether it is a folder that `extract` made: its name is a hash. */
    private static boolean isBuild(Path path) {
        return isHash(path.getFileName().toString()) && Files.isDirectory(path, LinkOption.NOFOLLOW_LINKS);
    }

    private static boolean isHash(String name) {
        return name.matches("[0-9a-f]{64}");
    }

    /** Makes a folder the last to be removed. */
    private static void touch(Path folder) {
        try {
            Files.setLastModifiedTime(folder, FileTime.from(Instant.now()));
        } catch (IOException readOnly) {
            System.getLogger("errand").log(System.Logger.Level.DEBUG, "use of the native library was not noted", readOnly);
        }
    }

    private static void remove(Path folder) throws IOException {
        try (DirectoryStream<Path> files = Files.newDirectoryStream(folder)) {
            for (Path file : files) {
                Files.delete(file);
            }
        }
        Files.delete(folder);
    }

    /** The user's cache folder, or one of our own in the temporary folder where there is no home to write to. */
    private static Path privateFolder() throws IOException {
        String home = System.getProperty("user.home");
        String cache = System.getenv("XDG_CACHE_HOME");
        Path[] candidates = {
            cache != null && cache.startsWith("/") ? Path.of(cache, "errand") : Path.of(String.valueOf(home), ".cache", "errand"),
            Path.of(System.getProperty("java.io.tmpdir"), "errand-" + System.getProperty("user.name")),
        };
        IOException first = null;
        for (Path folder : candidates) {
            try {
                Files.createDirectories(folder.getParent());
                makePrivate(folder);
                return folder;
            } catch (IOException failure) {
                if (first == null) {
                    first = failure;
                } else {
                    first.addSuppressed(failure);
                }
            }
        }
        throw first;
    }

    /** Makes the folder with mode 0700, or checks that the one there is ours alone. */
    private static void makePrivate(Path folder) throws IOException {
        try {
            Files.createDirectory(folder, PRIVATE_FOLDER);
        } catch (FileAlreadyExistsException there) {
            if (!Files.isDirectory(folder, LinkOption.NOFOLLOW_LINKS)) {
                throw new IOException("cache folder \"" + folder + "\" is not a folder");
            }
        }
        for (PosixFilePermission permission : Files.getPosixFilePermissions(folder, LinkOption.NOFOLLOW_LINKS)) {
            if (!permission.name().startsWith("OWNER")) {
                throw new IOException("cache folder \"" + folder + "\" is open to others; its mode must be 0700");
            }
        }
        // A file that we make is ours, so it tells who we are.
        Path probe = Files.createTempFile(folder, "owner", ".probe");
        try {
            if (!owner(probe).equals(owner(folder))) {
                throw new IOException("cache folder \"" + folder + "\" belongs to somebody else");
            }
        } finally {
            Files.deleteIfExists(probe);
        }
    }

    private static boolean isIntact(Path file, String hash) throws IOException {
        return isOurs(file) && hash(Files.readAllBytes(file)).equals(hash);
    }

    private static boolean isOurs(Path file) throws IOException {
        return Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)
            && owner(file).equals(owner(file.getParent()))
            && Files.getPosixFilePermissions(file).stream().noneMatch(OTHERS_MAY_WRITE::contains);
    }

    private static Object owner(Path path) throws IOException {
        return Files.getAttribute(path, "unix:uid", LinkOption.NOFOLLOW_LINKS);
    }

    private static String hash(byte[] bytes) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
        } catch (NoSuchAlgorithmException impossible) {
            throw new AssertionError("every JDK has SHA-256", impossible);
        }
    }
}
