/*
 * The front of the one file that Holdfast is: unpacks what lies behind it, once, and becomes it.
 *
 * The file is this program, then an index of entries (folders, files, links), then their contents
 * (each one LZ4 block), then a trailer that tells where they begin and a key made of all of it.
 * They are unpacked into PLACE/KEY, where PLACE is the first of the places below that can be used;
 * every later start finds them there, and only replaces this process by the program in them
 * (execv). So there is one process, and signals, exit status and kill -9 are what they would be
 * without this.
 *
 * A folder appears under its name when it is complete. Each start checks that every entry is there
 * with its size, which takes 5 ms, and unpacks anew where one is not: after a crash of the machine
 * files may be short, and some systems remove from temporary folders what is old.
 *
 * Whoever runs a program holds a shared lock on its folder for as long as it lives: before
 * unpacking, the folders of other versions that nobody holds are removed.
 *
 * packaging/pack.py writes this format. All numbers are little-endian.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define SELF "/proc/self/exe"
#define MAGIC "HOLDFAST"
#define MAGIC_BYTES 8
#define KEY_BYTES 32
#define TRAILER_BYTES (MAGIC_BYTES + 8 + 8 + KEY_BYTES)
#define ENTRY_BYTES 28
#define NEW ".new-"
#define OLD ".old-"
#define OPEN_FOLDERS_MAX 16

struct payload {
	const uint8_t *index, *contents, *end;
	char key[KEY_BYTES + 1];
};

struct entry {
	uint32_t mode; /* type and permissions, as in st_mode */
	uint32_t path_bytes;
	uint64_t bytes;        /* of a file's content, or of a link's target */
	uint64_t packed_bytes; /* the same as bytes: stored as it is */
	uint32_t check;        /* Adler-32 of the content (RFC 1950) */
	const uint8_t *path, *packed;
};

struct cursor {
	const uint8_t *index, *contents;
};

static _Noreturn void die(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	fputs("holdfast: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	exit(1);
}

/* Else the folder that is held would be taken for a standard stream, by what this becomes too. */
static void open_closed_streams(void)
{
	int file;
	do
		file = open("/dev/null", O_RDWR);
	while (file >= 0 && file <= STDERR_FILENO);
	if (file >= 0)
		close(file);
}

static _Noreturn void die_damaged(void)
{
	die("this file is damaged or incomplete; get it again");
}

static void join(char *into, const char *folder, const char *format, ...)
{
	int used = snprintf(into, PATH_MAX, "%s/", folder);
	va_list arguments;
	va_start(arguments, format);
	if (used < PATH_MAX)
		used += vsnprintf(into + used, PATH_MAX - used, format, arguments);
	va_end(arguments);
	if (used >= PATH_MAX)
		die("%s: the path is too long", folder);
}

static uint64_t number(const uint8_t *at, int bytes)
{
	uint64_t value = 0;
	while (bytes-- > 0)
		value = value << 8 | at[bytes];
	return value;
}

/* ---- what lies behind this program ---------------------------------------------------------- */

static struct payload find_payload(void)
{
	struct payload payload;
	struct stat status;
	int file = open(SELF, O_RDONLY | O_CLOEXEC);
	if (file < 0 || fstat(file, &status) < 0)
		die("cannot read this file through " SELF ": %s", strerror(errno));
	size_t bytes = status.st_size;
	const uint8_t *all = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, file, 0);
	close(file);
	if (all == MAP_FAILED)
		die("cannot read this file: %s", strerror(errno));
	if (bytes < TRAILER_BYTES)
		die_damaged();
	const uint8_t *trailer = all + bytes - TRAILER_BYTES;
	if (memcmp(trailer, MAGIC, MAGIC_BYTES) != 0)
		die_damaged();
	uint64_t start = number(trailer + MAGIC_BYTES, 8);
	uint64_t index_bytes = number(trailer + MAGIC_BYTES + 8, 8);
	bytes -= TRAILER_BYTES;
	if (start > bytes || index_bytes > bytes - start)
		die_damaged();
	payload.index = all + start;
	payload.contents = payload.index + index_bytes;
	payload.end = trailer;
	memcpy(payload.key, trailer + MAGIC_BYTES + 16, KEY_BYTES);
	payload.key[KEY_BYTES] = '\0';
	return payload;
}

static struct cursor first(const struct payload *payload)
{
	return (struct cursor){payload->index, payload->contents};
}

static bool next(const struct payload *payload, struct cursor *at, struct entry *entry)
{
	size_t left = payload->contents - at->index;
	if (left == 0)
		return false;
	if (left < ENTRY_BYTES)
		die_damaged();
	entry->mode = number(at->index, 4);
	entry->path_bytes = number(at->index + 4, 4);
	entry->bytes = number(at->index + 8, 8);
	entry->packed_bytes = number(at->index + 16, 8);
	entry->check = number(at->index + 24, 4);
	entry->path = at->index + ENTRY_BYTES;
	entry->packed = at->contents;
	if (entry->path_bytes > left - ENTRY_BYTES
	    || entry->packed_bytes > (size_t)(payload->end - at->contents))
		die_damaged();
	at->index = entry->path + entry->path_bytes;
	at->contents += entry->packed_bytes;
	return true;
}

static uint32_t adler32(const uint8_t *data, size_t bytes)
{
	uint32_t a = 1, b = 0;
	while (bytes > 0) {
		/* So many that b cannot overflow (zlib's NMAX). */
		size_t slice = bytes < 5552 ? bytes : 5552;
		bytes -= slice;
		while (slice-- > 0) {
			a += *data++;
			b += a;
		}
		a %= 65521;
		b %= 65521;
	}
	return b << 16 | a;
}

static bool extend(const uint8_t **in, const uint8_t *end, size_t *length)
{
	uint8_t more;
	do {
		if (*in == end)
			return false;
		more = *(*in)++;
		*length += more;
	} while (more == 255);
	return true;
}

/* The LZ4 block format (lz4_Block_format.md of the LZ4 project). */
static bool decompress(const uint8_t *in, size_t in_bytes, uint8_t *out, size_t out_bytes)
{
	const uint8_t *in_end = in + in_bytes;
	uint8_t *at = out, *out_end = out + out_bytes;
	while (in < in_end) {
		uint8_t token = *in++;
		size_t length = token >> 4;
		if (length == 15 && !extend(&in, in_end, &length))
			return false;
		if (length > (size_t)(in_end - in) || length > (size_t)(out_end - at))
			return false;
		memcpy(at, in, length);
		at += length;
		in += length;
		if (in == in_end) /* the last sequence is literals alone */
			return at == out_end;
		if (in_end - in < 2)
			return false;
		size_t distance = number(in, 2);
		in += 2;
		length = token & 15;
		if (length == 15 && !extend(&in, in_end, &length))
			return false;
		length += 4;
		if (distance == 0 || distance > (size_t)(at - out) || length > (size_t)(out_end - at))
			return false;
		/* The copy may overlap itself, and then repeats what it has just written. */
		for (const uint8_t *from = at - distance; length > 0; length--)
			*at++ = *from++;
	}
	return false;
}

/* ---- unpacking ------------------------------------------------------------------------------ */

static int write_file(const char *path, mode_t mode, const uint8_t *content, size_t bytes)
{
	int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (file < 0)
		return -1;
	while (bytes > 0) {
		ssize_t written = write(file, content, bytes);
		if (written < 0)
			break;
		content += written;
		bytes -= written;
	}
	int failed = bytes > 0 || fchmod(file, mode) < 0 ? errno : 0;
	if (close(file) < 0 && failed == 0)
		failed = errno;
	errno = failed;
	return failed == 0 ? 0 : -1;
}

static void path_of(char *path, const char *folder, const struct entry *entry)
{
	join(path, folder, "%.*s", (int)entry->path_bytes, (const char *)entry->path);
}

static int write_entry(const char *path, const struct entry *entry)
{
	if (S_ISDIR(entry->mode))
		return mkdir(path, 0700) < 0 ? -1 : chmod(path, entry->mode & 0777);
	/* One byte more ends a link's target. */
	uint8_t *content = malloc(entry->bytes + 1);
	if (content == NULL)
		return -1;
	if (entry->packed_bytes == entry->bytes)
		memcpy(content, entry->packed, entry->bytes);
	else if (!decompress(entry->packed, entry->packed_bytes, content, entry->bytes))
		die_damaged();
	if (adler32(content, entry->bytes) != entry->check)
		die_damaged();
	content[entry->bytes] = '\0';
	int done = S_ISLNK(entry->mode)
		? symlink((char *)content, path)
		: write_file(path, entry->mode & 0777, content, entry->bytes);
	int reason = errno;
	free(content);
	errno = reason;
	return done;
}

static int write_entries(const struct payload *payload, const char *folder)
{
	char path[PATH_MAX];
	struct entry entry;
	for (struct cursor at = first(payload); next(payload, &at, &entry);) {
		path_of(path, folder, &entry);
		if (write_entry(path, &entry) < 0)
			return -1;
	}
	return 0;
}

static bool is_whole(const struct payload *payload, const char *folder)
{
	char path[PATH_MAX];
	struct stat found;
	struct entry entry;
	for (struct cursor at = first(payload); next(payload, &at, &entry);) {
		path_of(path, folder, &entry);
		if (lstat(path, &found) < 0 || (found.st_mode & S_IFMT) != (entry.mode & S_IFMT)
		    || (S_ISREG(entry.mode) && (uint64_t)found.st_size != entry.bytes))
			return false;
	}
	return true;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
	(void)status, (void)type, (void)where;
	return remove(path);
}

static void remove_folder(const char *path)
{
	nftw(path, remove_one, OPEN_FOLDERS_MAX, FTW_DEPTH | FTW_PHYS);
}

static int unpack(const struct payload *payload, const char *place, const char *home)
{
	char unfinished[PATH_MAX];
	join(unfinished, place, NEW "%s-%ld", payload->key, (long)getpid());
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "holdfast: unpacking into %s (once)\n", place);
	int done = mkdir(unfinished, 0700);
	if (done == 0)
		done = write_entries(payload, unfinished);
	if (done == 0)
		done = chmod(unfinished, 0755);
	if (done == 0)
		done = rename(unfinished, home);
	int reason = errno;
	if (done < 0)
		remove_folder(unfinished);
	errno = reason;
	return done;
}

/* ---- folders in use ------------------------------------------------------------------------- */

/* Hold the folder, if it is whole, for as long as this process lives, whatever it becomes. */
static bool hold(const struct payload *payload, const char *home)
{
	struct stat held, named;
	int folder = open(home, O_RDONLY | O_DIRECTORY); /* stays open over execv */
	if (folder < 0)
		return false;
	flock(folder, LOCK_SH);
	/* By now it may have been removed, and another stand in its place. */
	if (fstat(folder, &held) == 0 && stat(home, &named) == 0 && held.st_ino == named.st_ino
	    && held.st_dev == named.st_dev && is_whole(payload, home))
		return true;
	close(folder);
	errno = ENOENT;
	return false;
}

static bool is_key(const char *name)
{
	return strlen(name) == KEY_BYTES && strspn(name, "0123456789abcdef") == KEY_BYTES;
}

static bool is_leftover(const char *name)
{
	return (strncmp(name, NEW, strlen(NEW)) == 0 || strncmp(name, OLD, strlen(OLD)) == 0)
		&& strspn(name + strlen(NEW), "0123456789abcdef") == KEY_BYTES;
}

/* Remove a folder in one step, for whoever looks for it by name. */
static void set_aside(const char *place, const char *name)
{
	char path[PATH_MAX], removed[PATH_MAX];
	join(path, place, "%s", name);
	join(removed, place, OLD "%s", name);
	if (rename(path, removed) == 0)
		remove_folder(removed);
}

static void remove_unused(const char *place, const char *name)
{
	char path[PATH_MAX];
	join(path, place, "%s", name);
	int folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (folder < 0)
		return;
	/* Under the lock: who opened it before sees that it lost its name. */
	if (flock(folder, LOCK_EX | LOCK_NB) == 0)
		set_aside(place, name);
	close(folder);
}

/* Remove what interrupted runs left and what earlier versions used; the place must be locked. */
static void clear(const char *place, const char *key)
{
	char path[PATH_MAX];
	DIR *folder = opendir(place);
	if (folder == NULL)
		return;
	for (struct dirent *each; (each = readdir(folder)) != NULL;) {
		const char *name = each->d_name;
		if (is_key(name) && strcmp(name, key) != 0) {
			remove_unused(place, name);
		} else if (is_leftover(name)) {
			join(path, place, "%s", name);
			remove_folder(path);
		}
	}
	closedir(folder);
}

/* ---- places --------------------------------------------------------------------------------- */

/* Give the nth place to try, most wanted first; false past the last. Empty: none at this n. */
static bool place_at(int n, char *place)
{
	const char *wanted = getenv("HOLDFAST_UNPACK_DIR");
	const char *given;
	struct passwd *user;
	place[0] = '\0';
	if (wanted != NULL && *wanted != '\0') {
		snprintf(place, PATH_MAX, "%s", wanted);
		return n == 0; /* whoever says where means there */
	}
	switch (n) {
	case 0: /* of a systemd unit with CacheDirectory= */
		given = getenv("CACHE_DIRECTORY");
		if (given != NULL)
			snprintf(place, PATH_MAX, "%.*s", (int)strcspn(given, ":"), given);
		return true;
	case 1: /* PostgreSQL, as another user, must reach root's: no home directory */
		if (geteuid() == 0)
			snprintf(place, PATH_MAX, "/var/cache/holdfast-0");
		return true;
	case 2:
		given = getenv("XDG_CACHE_HOME");
		if (given != NULL && given[0] == '/')
			join(place, given, "holdfast");
		return true;
	case 3:
		given = getenv("HOME");
		if (given == NULL && (user = getpwuid(geteuid())) != NULL)
			given = user->pw_dir;
		if (given != NULL && given[0] == '/')
			join(place, given, ".cache/holdfast");
		return true;
	case 4:
	case 5:
		join(place, n == 4 ? "/var/tmp" : "/tmp", "holdfast-%ld", (long)geteuid());
		return true;
	default:
		return false;
	}
}

static void make_folders(char *path)
{
	mode_t mode = geteuid() == 0 ? 0755 : 0700;
	for (char *slash = path; (slash = strchr(slash + 1, '/')) != NULL;) {
		*slash = '\0';
		mkdir(path, mode);
		*slash = '/';
	}
	mkdir(path, mode);
}

/* Open a place to unpack into; -1 and *why where it cannot be used. */
static int open_place(char *place, const char **why)
{
	struct stat status;
	struct statvfs system;
	make_folders(place);
	/* In a folder that everybody writes to, a link may be anybody's. */
	bool shared = strncmp(place, "/tmp/", 5) == 0 || strncmp(place, "/var/tmp/", 9) == 0;
	int folder = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (shared ? O_NOFOLLOW : 0));
	if (folder < 0 || fstat(folder, &status) < 0 || fstatvfs(folder, &system) < 0)
		*why = strerror(errno);
	else if (status.st_uid != geteuid() && status.st_uid != 0)
		*why = "it belongs to somebody else";
	else if (status.st_mode & (S_IWGRP | S_IWOTH))
		*why = "others may write to it";
	else if (system.f_flag & ST_NOEXEC)
		*why = "no programs may run from it";
	else
		return folder;
	if (folder >= 0)
		close(folder);
	return -1;
}

/* See to it that the program lies in this place, and hold it there. */
static bool settle(const struct payload *payload, char *place, char *home, const char **why)
{
	int folder = open_place(place, why);
	if (folder < 0)
		return false;
	join(home, place, "%s", payload->key);
	bool held = hold(payload, home);
	if (!held) {
		if (flock(folder, LOCK_EX) == 0)
			clear(place, payload->key);
		held = hold(payload, home); /* somebody may have been quicker */
	}
	if (!held) {
		set_aside(place, payload->key);
		held = unpack(payload, place, home) == 0 && hold(payload, home);
		*why = strerror(errno);
	}
	close(folder);
	return held;
}

int main(int argc, char **argv)
{
	(void)argc;
	char place[PATH_MAX], home[PATH_MAX], program[PATH_MAX];
	char tried[4096] = "";
	size_t used = 0;
	const char *why = "";
	open_closed_streams();
	struct payload payload = find_payload();
	for (int n = 0; place_at(n, place); n++) {
		if (place[0] == '\0')
			continue;
		if (settle(&payload, place, home, &why)) {
			join(program, home, "holdfast");
			execv(program, argv);
			die("cannot run %s: %s", program, strerror(errno));
		}
		used += snprintf(tried + used, sizeof tried - used, "%s%s (%s)", used ? ", " : "", place,
				 why);
		if (used >= sizeof tried)
			used = sizeof tried - 1;
	}
	die("found no place to unpack into: tried %s; set HOLDFAST_UNPACK_DIR to a folder that this "
	    "user may write to and run programs from", tried);
}
