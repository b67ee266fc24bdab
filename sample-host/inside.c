/* SPDX-License-Identifier: MIT */
/*
 * inside.c: the command `run`, inside the bottle.  run.c has the order of the steps.
 *
 * The network namespace is new: it has loopback, and no way out.  The files are the caller's own, except
 * those that would lead around the gate and those that have to lead to it:
 *
 *     /run, /var/run       empty: a socket there (D-Bus, an engine, nscd) may be a way out
 *     /etc/hosts           the upstreams' names, on loopback: for clients that read no ssh_config
 *     /etc/nsswitch.conf,  names are looked up in /etc/hosts alone: no DNS server is waited for
 *     /etc/resolv.conf
 *     /etc/ssh             ssh_config and ssh_known_hosts as the sidecars wrote them
 *     ~/.ssh/config        empty: OpenSSH takes the first value that it finds for each option, so the
 *                          user's own Host blocks would win over /etc/ssh/ssh_config
 *
 * The new files are written to a tmpfs at /run and bind-mounted from there, read-only; a second tmpfs
 * covers the first.  The command has no capability and can gain none in this namespace, so it cannot undo
 * any of this.
 */
#include "inside.h"

#include "bottle.h"
#include "exit_status.h"
#include "fail.h"
#include "members.h"
#include "path.h"
#include "request.h"
#include "step.h"
#include "text_file.h"

#include "common/cleanup.h"
#include "common/sidecar/stage_dir.h"
#include "common/text/json_text.h"
#include "common/text/text.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool fail_inside(const char *what, const char *name)
{
    return fail("bottle: cannot %s %s: %s", what, name, strerror(errno));
}

/* ---- namespaces ---- */

/*
 * Reports a step that was not permitted, and the sysctl that forbids it.  The step may come after unshare(2):
 * AppArmor permits that and takes the capabilities away.
 */
static bool fail_permission(const char *step)
{
    static const struct {
        const char *sysctl;
        const char *path;
        const char *forbids;
        const char *permits;
    } settings[] = {
        {"user.max_user_namespaces", "/proc/sys/user/max_user_namespaces", "0\n", "10000"},
        {"user.max_net_namespaces", "/proc/sys/user/max_net_namespaces", "0\n", "10000"},
        {"user.max_mnt_namespaces", "/proc/sys/user/max_mnt_namespaces", "0\n", "10000"},
        {"kernel.unprivileged_userns_clone", "/proc/sys/kernel/unprivileged_userns_clone", "0\n",
         "1"},
        {"kernel.apparmor_restrict_unprivileged_userns",
         "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n", "0"},
    };
    const char *reason = strerror(errno);

    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        CLEANUP_FREE char *value = NULL;
        if (read_text_file(AT_FDCWD, settings[i].path, 64, true, &value) && value &&
            strcmp(value, settings[i].forbids) == 0)
            return fail("bottle: cannot %s: %s: the sysctl %s is %.1s; as root: sysctl -w %s=%s",
                        step, reason, settings[i].sysctl, value, settings[i].sysctl,
                        settings[i].permits);
    }
    return fail(
        "bottle: cannot %s: %s: the sysctls user.max_user_namespaces, user.max_net_namespaces "
        "and user.max_mnt_namespaces limit the number of namespaces, and a container that "
        "this runs in may forbid them (Docker: its seccomp profile)",
        step, reason);
}

static bool bring_loopback_up(void)
{
    struct ifreq request = {.ifr_name = "lo"};

    CLEANUP_FD int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request) != 0)
        return fail_permission("find the network interface lo");
    request.ifr_flags = (short)(request.ifr_flags | IFF_UP);
    return ioctl(fd, SIOCSIFFLAGS, &request) == 0 ||
           fail_permission("bring the network interface lo up");
}

/* ---- the files ---- */

/* Whether /etc/hosts can have the name.  An IP address needs no line there. */
static bool is_host_name(const char *text)
{
    struct in_addr address;

    if (!text || *text == '\0' || inet_pton(AF_INET, text, &address) == 1)
        return false;
    while (isalnum((unsigned char)*text) || (*text != '\0' && strchr("-._", *text)))
        text++;
    return *text == '\0';
}

/* Writes a line with the names of the upstream that are not keys of known yet, and adds them. */
static bool write_names(FILE *hosts, const char *address, json_object *known, json_object *upstream)
{
    const char *const names[] = {text_member(upstream, "upstream_host"),
                                 text_member(upstream, "bottle_host_alias")};
    const char *separator = address;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!is_host_name(names[i]) || json_object_object_get_ex(known, names[i], NULL))
            continue;
        if (!set_text(known, names[i], address))
            return false;
        (void)fprintf(hosts, "%s %s", separator, names[i]);
        separator = "";
    }
    (void)fputs(*separator == '\0' ? "\n" : "", hosts);
    return true;
}

static bool write_hosts(const struct bottle *bottle, const char *address, FILE *hosts)
{
    CLEANUP_JSON json_object *known = json_object_new_object();

    (void)fprintf(hosts, "%s localhost\n", address);
    if (!set_text(known, "localhost", address))
        return false;
    for (size_t i = 0; i < bottle->count; i++) {
        json_object *upstreams = json_object_object_get(bottle->sidecars[i].plan, "upstreams");
        for (size_t j = 0; j < json_object_array_length(upstreams); j++) {
            if (!write_names(hosts, address, known, json_object_array_get_idx(upstreams, j)))
                return false;
        }
    }
    return true;
}

static bool render_hosts(const struct bottle *bottle, FILE *hosts)
{
    return write_hosts(bottle, "127.0.0.1", hosts) && write_hosts(bottle, "::1", hosts);
}

/* Writes the system's nsswitch.conf, if there is one, with another line for hosts. */
static bool render_nsswitch(const struct bottle *bottle, FILE *nsswitch)
{
    CLEANUP_FREE char *system = NULL;
    char *rest = NULL;

    (void)bottle;
    if (!read_text_file(AT_FDCWD, "/etc/nsswitch.conf", 65536, true, &system))
        return false;
    char *line = system ? strtok_r(system, "\n", &rest) : NULL;
    for (; line; line = strtok_r(NULL, "\n", &rest)) {
        if (strncmp(line + strspn(line, " \t"), "hosts", 5) != 0)
            (void)fprintf(nsswitch, "%s\n", line);
    }
    (void)fputs("hosts: files\n", nsswitch);
    return true;
}

/* Concatenates the files that the plans name under key. */
static bool copy_plan_files(const struct bottle *bottle, const char *key, FILE *to)
{
    for (size_t i = 0; i < bottle->count; i++) {
        CLEANUP_FREE char *file = NULL;
        const char *path = text_member(bottle->sidecars[i].plan, key);
        if (path && !read_text_file(AT_FDCWD, path, JSON_TEXT_MAX_BYTES, false, &file))
            return false;
        (void)fputs(file ? file : "", to);
    }
    return true;
}

static bool render_ssh_config(const struct bottle *bottle, FILE *ssh_config)
{
    return copy_plan_files(bottle, "ssh_config", ssh_config);
}

static bool render_known_hosts(const struct bottle *bottle, FILE *known_hosts)
{
    return copy_plan_files(bottle, "known_hosts", known_hosts);
}

/* The text that render writes; malloc'ed; NULL after an error that was reported. */
static char *rendered(const struct bottle *bottle,
                      bool (*render)(const struct bottle *bottle, FILE *to))
{
    struct text text;

    if (!text_open(&text)) {
        (void)fail("out of memory");
        return NULL;
    }
    bool is_complete = render(bottle, text.stream);
    CLEANUP_FREE char *buffer = text_close(&text);
    if (!is_complete)
        return NULL;
    if (!buffer)
        (void)fail("out of memory");
    return steal_pointer(&buffer);
}

static bool write_files(const char *path, const struct stage_file *files, size_t count)
{
    CLEANUP_FD int fd = -1;
    struct failure failure;

    return (stage_dir_open(path, &fd, NULL, &failure) == BOTTLE_OK &&
            stage_dir_write(fd, path, files, count, &failure) == BOTTLE_OK) ||
           fail("bottle: %s", failure.message);
}

/* Mounts a tmpfs.  A target that does not exist needs none. */
static bool mount_empty(const char *target)
{
    return mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755") == 0 ||
           errno == ENOENT || fail_inside("mount a tmpfs on", target);
}

/* Writes our files to a tmpfs at /run; reads their sources first, which may be below /run. */
static bool make_files(const struct bottle *bottle)
{
    CLEANUP_FREE char *hosts = rendered(bottle, render_hosts);
    CLEANUP_FREE char *nsswitch = hosts ? rendered(bottle, render_nsswitch) : NULL;
    CLEANUP_FREE char *ssh_config = nsswitch ? rendered(bottle, render_ssh_config) : NULL;
    CLEANUP_FREE char *known_hosts = ssh_config ? rendered(bottle, render_known_hosts) : NULL;

    if (!known_hosts)
        return false;
    const struct stage_file etc[] = {
        {"hosts", 0644, hosts}, {"nsswitch.conf", 0644, nsswitch}, {"empty", 0644, ""}};
    const struct stage_file ssh[] = {{"ssh_config", 0644, ssh_config},
                                     {"ssh_known_hosts", 0644, known_hosts}};
    return mount_empty("/run") && write_files("/run", etc, sizeof etc / sizeof etc[0]) &&
           (mkdir("/run/ssh", 0755) == 0 || fail_inside("make", "/run/ssh")) &&
           write_files("/run/ssh", ssh, sizeof ssh / sizeof ssh[0]);
}

/* Bind-mounts a file of ours over target, read-only. */
static bool cover(int made_fd, const char *name, const char *target, bool optional)
{
    const unsigned long flags = MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
    char source[64];

    if (optional && access(target, F_OK) != 0)
        return true;
    (void)snprintf(source, sizeof source, "/proc/self/fd/%d/%s", made_fd, name);
    if (mount(source, target, NULL, MS_BIND, NULL) == 0 &&
        mount(NULL, target, NULL, flags, NULL) == 0)
        return true;
    return fail("bottle: cannot mount our %s over %s: %s%s", name, target, strerror(errno),
                errno == ENOENT ? ": make an empty one first" : "");
}

/* OpenSSH takes the home directory from the password database, other clients from $HOME. */
static bool cover_user_config(int made_fd)
{
    const struct passwd *user = getpwuid(geteuid());
    const char *const homes[] = {user ? user->pw_dir : NULL, getenv("HOME")};
    char path[PATH_MAX];

    for (size_t i = 0; i < sizeof homes / sizeof homes[0]; i++) {
        if (homes[i] &&
            (!make_path(path, "%s/.ssh/config", homes[i]) || !cover(made_fd, "empty", path, true)))
            return false;
    }
    return true;
}

static bool arrange_files(const struct bottle *bottle)
{
    char directory[PATH_MAX];

    if (!getcwd(directory, sizeof directory))
        return fail_inside("find", "the current directory");
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return fail_permission("keep mounts from spreading");
    if (!make_files(bottle))
        return false;
    CLEANUP_FD int made_fd = open("/run", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (made_fd < 0)
        return fail_inside("open", "/run");
    /* Where nsswitch.conf or resolv.conf is missing, the C library behaves as it does with ours. */
    if (!mount_empty("/run") || !mount_empty("/var/run") ||
        !cover(made_fd, "hosts", "/etc/hosts", false) ||
        !cover(made_fd, "nsswitch.conf", "/etc/nsswitch.conf", true) ||
        !cover(made_fd, "empty", "/etc/resolv.conf", true) ||
        !cover(made_fd, "ssh", "/etc/ssh", false) || !cover_user_config(made_fd))
        return false;
    /* By its path: from a directory that is covered now, ".." would lead to what the cover hides. */
    return chdir(directory) == 0 || fail("bottle: the current directory %s is not there in the "
                                         "bottle: %s: start from another",
                                         directory, strerror(errno));
}

/* ---- capabilities, and the steps ---- */

/* Drops every capability, also root's and those that executing a file would give: capabilities(7). */
static bool drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
    unsigned long capability = 0;

    while (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0)
        capability++;
    if (errno != EINVAL || capability == 0) /* EINVAL: the kernel knows no further one */
        return fail_inside("drop", "the capability bounding set");
    return (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0 &&
            syscall(SYS_capset, &header, none) == 0 &&
            prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) ||
           fail_inside("drop", "capabilities");
}

static bool take_step(int link)
{
    return step_tell(link) && step_await(link);
}

_Noreturn void inside_bottle(int link, const struct bottle *bottle, char *const *command)
{
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) != 0) {
        (void)fail_permission("make user, network and mount namespaces");
        _exit(STATUS_RUN_FAILED);
    }
    if (!take_step(link) || !bring_loopback_up() || !take_step(link) || !arrange_files(bottle) ||
        !drop_capabilities())
        _exit(STATUS_RUN_FAILED);
    closefrom(STDERR_FILENO + 1); /* also where the system lacks close_range(2) */
    (void)execvp(command[0], command);
    int error = errno;
    (void)fail("cannot execute %s: %s", command[0], strerror(error));
    _exit(error == ENOENT ? STATUS_NO_COMMAND : STATUS_CANNOT_EXEC);
}
