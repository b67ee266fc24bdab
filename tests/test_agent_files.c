/* SPDX-License-Identifier: MIT */
/*
 * test_agent_files.c: the files for the agent's side, as text and as the programs that read them
 * understand them: sh and dash, ssh -G, ssh-keygen -F.
 */
#include "bottle/plan.h"
#include "common/cleanup.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

#define ED25519 "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO5oVek6oac/sbglPnUQ4lVic4fw5B60k3AjwivJBBB6"
#define ECDSA                                                                                      \
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBDabimkKnkxjPN1sR"    \
    "32gv/1SGrlNEoK4BJLchU6qWPb1RvyrrJ8B6asAO3lpXzAF4wMXW0utbENbNDP81v0kneM="
#define RSA                                                                                        \
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQC2l0bHIxcGGhyFc7oLdjweVl9yjr5ERYrTwrBbvHe0j7TzgTXzC9y"  \
    "DcFVaA5Fz1rx87j80r4/MMp8iHoHtFoumetz7WjBMAz/BorSpc5nAiOo7pq0OqyQWzho/0+K8o8z37ovs53GNEfWbd1"  \
    "3zmTuQ+sg+pq9dn7gapsiAtx0/OQ=="

static char home[] = "/tmp/test_agent_files.XXXXXX"; /* one for each test, which is a process */
static char path[128];
static struct plan plan;

static void set_up(void)
{
    cr_assert_not_null(mkdtemp(home));
    snprintf(path, sizeof path, "%s/file", home);
}

static void tear_down(void)
{
    plan_clear(&plan);
    if (unlink(path) != 0)
        cr_assert_eq(access(path, F_OK), -1);
    cr_assert_eq(rmdir(home), 0);
}

TestSuite(agent_files, .init = set_up, .fini = tear_down);

static void make_plan(const char *bottle)
{
    struct failure failure = {""};

    plan_clear(&plan);
    cr_assert_eq(plan_from_bottle(bottle, &plan, &failure), BOTTLE_OK, "%s", failure.message);
    snprintf(plan.slug, sizeof plan.slug, "web");
}

static void write_file(const char *name, const char *text, mode_t mode)
{
    FILE *file = fopen(name, "we");

    cr_assert_not_null(file);
    cr_assert_geq(fputs(text, file), 0);
    cr_assert_eq(fclose(file), 0);
    cr_assert_eq(chmod(name, mode), 0);
}

/* Runs a program; its output, standard error with it, goes to output.  Returns the exit status. */
static int run(const char *const *arguments, char *output, size_t size)
{
    int fds[2];
    int status;
    size_t used = 0;
    ssize_t len;

    cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        if (dup2(fds[1], STDOUT_FILENO) < 0 || dup2(fds[1], STDERR_FILENO) < 0)
            _exit(126);
        execvp(arguments[0], (char *const *)(uintptr_t)arguments);
        _exit(127);
    }
    cr_assert_eq(close(fds[1]), 0);
    while ((len = read(fds[0], output + used, size - 1 - used)) > 0)
        used += (size_t)len;
    cr_assert_eq(len, 0);
    cr_assert_lt(used, size - 1, "more output than expected");
    output[used] = '\0';
    cr_assert_eq(close(fds[0]), 0);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* --- the entrypoint script --- */

static const char four_hosts[] =
    "{\"ssh\":[{\"Host\":\"github.com\"},"
    "{\"Host\":\"gitea\",\"Hostname\":\"Gitea.Example\",\"Port\":30009},"
    "{\"Host\":\"four\",\"Hostname\":\"192.0.2.1\",\"Port\":\"2222\"},"
    "{\"Host\":\"six\",\"Hostname\":\"[2001:DB8::1]\",\"Port\":65535}]}";

Test(agent_files, entrypoint_is_exactly_this)
{
    make_plan(four_hosts);
    CLEANUP_FREE char *script = render_entrypoint(&plan);
    cr_assert_str_eq(script, "#!/bin/sh\n"
                             "set -eu\n"
                             "socat TCP-LISTEN:22,reuseaddr,fork TCP:github.com:22 &\n"
                             "socat TCP-LISTEN:30009,reuseaddr,fork TCP:gitea.example:30009 &\n"
                             "socat TCP-LISTEN:2222,reuseaddr,fork TCP:192.0.2.1:2222 &\n"
                             "socat TCP-LISTEN:65535,reuseaddr,fork TCP:[2001:db8::1]:65535 &\n"
                             "wait\n");
    make_plan("{}");
    CLEANUP_FREE char *empty = render_entrypoint(&plan);
    cr_assert_str_eq(empty, "#!/bin/sh\nset -eu\nwait\n");
}

Test(agent_files, entrypoint_is_a_script_for_every_sh)
{
    static const char *const shells[] = {"sh", "dash", "bash"};
    char output[1024];

    make_plan(four_hosts);
    CLEANUP_FREE char *script = render_entrypoint(&plan);
    write_file(path, script, 0600);
    for (size_t i = 0; i < ROWS(shells); i++) {
        const char *const arguments[] = {shells[i], "-n", path, NULL};
        cr_expect_eq(run(arguments, output, sizeof output), 0, "%s: %s", shells[i], output);
        cr_expect_str_empty(output, "%s: %s", shells[i], output);
    }
}

/* With a socat that only says how it was called. */
Test(agent_files, entrypoint_starts_one_socat_for_each_upstream_and_waits)
{
    char socat[128];
    char search[256];
    char output[1024];
    const char *const arguments[] = {"/bin/sh", "-c", "/bin/sh \"$1\"; echo \"ended $?\"",
                                     "sh",      path, NULL};
    static const char ended[] = "ended 0\n"; /* after the last socat */
    static const char *const lines[] = {
        "2 TCP-LISTEN:22,reuseaddr,fork TCP:github.com:22\n",
        "2 TCP-LISTEN:30009,reuseaddr,fork TCP:gitea.example:30009\n",
        "2 TCP-LISTEN:2222,reuseaddr,fork TCP:192.0.2.1:2222\n",
        "2 TCP-LISTEN:65535,reuseaddr,fork TCP:[2001:db8::1]:65535\n"};
    size_t length = 0;

    make_plan(four_hosts);
    CLEANUP_FREE char *script = render_entrypoint(&plan);
    write_file(path, script, 0600);
    snprintf(socat, sizeof socat, "%s/socat", home);
    write_file(socat, "#!/bin/sh\nsleep 0.1\necho \"$# $*\"\n", 0700);
    snprintf(search, sizeof search, "%s:%s", home, getenv("PATH"));
    cr_assert_eq(setenv("PATH", search, 1), 0);
    cr_expect_eq(run(arguments, output, sizeof output), 0, "%s", output);
    for (size_t i = 0; i < ROWS(lines); i++) {
        cr_expect_not_null(strstr(output, lines[i]), "%s", output);
        length += strlen(lines[i]);
    }
    cr_assert_geq(strlen(output), length, "%s", output);
    cr_expect_str_eq(output + length, ended, "%s", output);
    cr_assert_eq(unlink(socat), 0);
}

/* --- ssh_config --- */

static const char gitea[] =
    "{\"ssh\":[{\"Host\":\"gitea\",\"Hostname\":\"gitea.example\",\"User\":\"git\",\"Port\":30009,"
    "\"IdentityFile\":\"~/keys/a key\",\"KnownHostKey\":\"" ED25519
    "\"},{\"Host\":\"github.com\"}]}";

Test(agent_files, ssh_config_is_exactly_this)
{
    make_plan(gitea);
    CLEANUP_FREE char *before_start = render_ssh_config(&plan, NULL);
    cr_assert_str_eq(
        before_start,
        "# OpenSSH client configuration of the bottle web: its SSH goes through the gate.\n"
        "# HostKeyAlias makes ssh check the key of the real host, not of the gate.\n"
        "\n"
        "Host gitea gitea.example\n"
        "    # HostName: added at start, when the gate's address is known\n"
        "    Port 30009\n"
        "    User git\n"
        "    IdentityFile \"~/keys/a key\"\n"
        "    HostKeyAlias gitea.example\n"
        "    StrictHostKeyChecking yes\n"
        "\n"
        "Host github.com\n"
        "    # HostName: added at start, when the gate's address is known\n"
        "    Port 22\n"
        "    HostKeyAlias github.com\n");
    CLEANUP_FREE char *started = render_ssh_config(&plan, "claude-bottle-ssh-gate-web");
    cr_assert_not_null(strstr(started, "Host gitea gitea.example\n"
                                       "    HostName claude-bottle-ssh-gate-web\n"
                                       "    Port 30009\n"));
    cr_assert_not_null(strstr(started, "Host github.com\n"
                                       "    HostName claude-bottle-ssh-gate-web\n"
                                       "    Port 22\n"));
    cr_assert_null(strstr(started, "added at start"));
}

/* What `ssh -G` says about a destination, each option one "name value" line. */
static void ssh_options(const char *destination, char *output, size_t size)
{
    const char *const arguments[] = {"ssh", "-G", "-F", path, "--", destination, NULL};

    output[0] = '\n';
    cr_assert_eq(run(arguments, output + 1, size - 1), 0, "%s:%s", destination, output);
}

static const struct {
    const char *bottle;
    const char *gate;
    const char *destination;
    const char *lines[6]; /* each must be in ssh's answer */
    const char *absent;   /* must not be in ssh's answer; may be NULL */
} configurations[] = {
    {gitea,
     "10.0.0.5",
     "gitea",
     {"hostname 10.0.0.5", "port 30009", "user git", "hostkeyalias gitea.example",
      "stricthostkeychecking true", "identityfile ~/keys/a key"},
     NULL},
    {gitea,
     "10.0.0.5",
     "gitea.example",
     {"hostname 10.0.0.5", "port 30009", "user git", "hostkeyalias gitea.example",
      "stricthostkeychecking true", "identityfile ~/keys/a key"},
     NULL},
    {gitea,
     "10.0.0.5",
     "ssh://other@gitea.example:2222",
     {"hostname 10.0.0.5", "port 2222", "user other", "hostkeyalias gitea.example"},
     NULL},
    {gitea, "::1", "gitea", {"hostname ::1", "port 30009"}, NULL},
    {gitea,
     "2001:db8::5",
     "github.com",
     {"hostname 2001:db8::5", "port 22", "hostkeyalias github.com", "stricthostkeychecking ask"},
     NULL},
    {gitea,
     "claude-bottle-ssh-gate-web",
     "git@gitea",
     {"hostname claude-bottle-ssh-gate-web", "port 30009", "user git"},
     NULL},
    {gitea,
     "10.0.0.5",
     "elsewhere.example",
     {"hostname elsewhere.example", "port 22"},
     "hostkeyalias"},
    {gitea, NULL, "gitea", {"hostname gitea", "port 30009", "hostkeyalias gitea.example"}, NULL},
    {"{\"ssh\":[{\"Host\":\"six\",\"Hostname\":\"2001:DB8::1\",\"Port\":2222}]}",
     "127.0.0.1",
     "six",
     {"hostname 127.0.0.1", "port 2222", "hostkeyalias 2001:db8::1"},
     NULL},
    {"{\"ssh\":[{\"Host\":\"six\",\"Hostname\":\"2001:DB8::1\",\"Port\":2222}]}",
     "127.0.0.1",
     "2001:db8::1",
     {"hostname 127.0.0.1", "port 2222", "hostkeyalias 2001:db8::1"},
     NULL},
    {"{\"ssh\":[{\"Host\":\"::1\"}]}", "::1", "::1", {"hostname ::1", "hostkeyalias ::1"}, NULL},
    {"{\"ssh\":[{\"Host\":\"192.0.2.1\",\"Port\":1}]}",
     "10.0.0.5",
     "192.0.2.1",
     {"hostname 10.0.0.5", "port 1", "hostkeyalias 192.0.2.1"},
     NULL},
    {"{\"ssh\":[{\"Host\":\"GitHub.com\",\"User\":\"a.b+c@d-e_f\"}]}",
     "10.0.0.5",
     "GitHub.com",
     {"hostname 10.0.0.5", "user a.b+c@d-e_f", "hostkeyalias github.com"},
     NULL},
    {"{\"ssh\":[{\"Host\":\"GitHub.com\"}]}",
     "10.0.0.5",
     "github.com",
     {"hostname 10.0.0.5", "hostkeyalias github.com"},
     NULL},
    {"{\"ssh\":[{\"Host\":\"_a..-B_\",\"Hostname\":\"_b.example\"}]}",
     "10.0.0.5",
     "_a..-B_",
     {"hostname 10.0.0.5", "hostkeyalias _b.example"},
     NULL},
    {"{\"ssh\":[{\"Host\":\"none\",\"User\":\"none\",\"Port\":65535}]}",
     "10.0.0.5",
     "none",
     {"hostname 10.0.0.5", "port 65535", "user none", "hostkeyalias none"},
     NULL},
    {"{\"ssh\":[{\"Host\":\"a\",\"IdentityFile\":\"/k/ two  spaces /caf\xc3\xa9 = "
     "[*?]!(){}<>|&;,:@\"}]}",
     "10.0.0.5",
     "a",
     {"identityfile /k/ two  spaces /caf\xc3\xa9 = [*?]!(){}<>|&;,:@"},
     NULL},
    {"{\"ssh\":[{\"Host\":\"a\",\"IdentityFile\":\"key\"}]}",
     "10.0.0.5",
     "a",
     {"identityfile key"},
     NULL},
    /* One Hostname on two ports: the first entry wins for the host name, each alias has its own. */
    {"{\"ssh\":[{\"Host\":\"a\",\"Hostname\":\"git.example\",\"User\":\"one\"},"
     "{\"Host\":\"b\",\"Hostname\":\"git.example\",\"User\":\"two\",\"Port\":2222}]}",
     "10.0.0.5",
     "git.example",
     {"port 22", "user one", "hostkeyalias git.example"},
     NULL},
    {"{\"ssh\":[{\"Host\":\"a\",\"Hostname\":\"git.example\",\"User\":\"one\"},"
     "{\"Host\":\"b\",\"Hostname\":\"git.example\",\"User\":\"two\",\"Port\":2222}]}",
     "10.0.0.5",
     "b",
     {"port 2222", "user two", "hostkeyalias git.example"},
     NULL},
    {"{\"ssh\":[{\"Host\":\"a\",\"Hostname\":\"git.example\",\"User\":\"one\"},"
     "{\"Host\":\"b\",\"Hostname\":\"git.example\",\"User\":\"two\",\"Port\":2222}]}",
     "10.0.0.5",
     "ssh://git.example:2222",
     {"port 2222", "user one", "hostkeyalias git.example"},
     NULL},
};

Test(agent_files, openssh_takes_ssh_config)
{
    char output[16384];

    for (size_t i = 0; i < ROWS(configurations); i++) {
        make_plan(configurations[i].bottle);
        CLEANUP_FREE char *text = render_ssh_config(&plan, configurations[i].gate);
        write_file(path, text, 0644);
        ssh_options(configurations[i].destination, output, sizeof output);
        for (size_t j = 0; j < ROWS(configurations[i].lines); j++) {
            char line[256];
            if (configurations[i].lines[j] == NULL)
                break;
            snprintf(line, sizeof line, "\n%s\n", configurations[i].lines[j]);
            cr_expect_not_null(strstr(output, line), "row %zu: ssh -G %s does not say %s", i,
                               configurations[i].destination, configurations[i].lines[j]);
        }
        if (configurations[i].absent != NULL)
            cr_expect_null(strstr(output, configurations[i].absent), "row %zu", i);
    }
}

/* --- known_hosts --- */

static const char known[] =
    "{\"ssh\":[{\"Host\":\"github.com\",\"KnownHostKey\":\"" ED25519 " comment\"},"
    "{\"Host\":\"gitea\",\"Hostname\":\"Gitea.example\",\"Port\":30009,\"KnownHostKey\":\"" ECDSA
    "\"},"
    "{\"Host\":\"no-key\",\"Port\":23},"
    "{\"Host\":\"six\",\"Hostname\":\"::1\",\"Port\":2222,\"KnownHostKey\":\"" RSA "\"},"
    "{\"Host\":\"other\",\"Hostname\":\"github.com\",\"Port\":443,\"KnownHostKey\":\"" RSA "\"},"
    "{\"Host\":\"same.example\",\"Port\":24,\"KnownHostKey\":\"" ED25519 "\"}]}";

Test(agent_files, known_hosts_is_exactly_this)
{
    make_plan(known);
    CLEANUP_FREE char *text = render_known_hosts(&plan);
    cr_assert_str_eq(text, "github.com " ED25519 "\n"
                           "gitea,gitea.example,[gitea.example]:30009,[gitea]:30009 " ECDSA "\n"
                           "six,::1,[::1]:2222,[six]:2222 " RSA "\n"
                           "other,github.com,[github.com]:443,[other]:443 " RSA "\n"
                           "same.example,[same.example]:24 " ED25519 "\n");
    make_plan("{}");
    CLEANUP_FREE char *empty = render_known_hosts(&plan);
    cr_assert_str_empty(empty);
}

Test(agent_files, openssh_finds_the_keys_in_known_hosts)
{
    static const struct {
        const char *name;
        const char *keys[2]; /* what ssh-keygen must find; none: the name is unknown */
    } lookups[] = {
        {"github.com", {ED25519, RSA}}, /* on its two ports */
        {"GITHUB.com", {ED25519, RSA}},
        {"[github.com]:443", {RSA}},
        {"other", {RSA}},
        {"gitea", {ECDSA}},
        {"gitea.example", {ECDSA}},
        {"Gitea.Example", {ECDSA}},
        {"[gitea]:30009", {ECDSA}},
        {"[gitea.example]:30009", {ECDSA}},
        {"::1", {RSA}},
        {"[::1]:2222", {RSA}},
        {"[six]:2222", {RSA}},
        {"[same.example]:24", {ED25519}},
        {"no-key", {NULL}},
        {"[gitea.example]:30010", {NULL}},
        {"elsewhere.example", {NULL}},
    };

    make_plan(known);
    CLEANUP_FREE char *text = render_known_hosts(&plan);
    write_file(path, text, 0644);
    for (size_t i = 0; i < ROWS(lookups); i++) {
        char output[4096];
        const char *const arguments[] = {"ssh-keygen", "-F", lookups[i].name, "-f", path, NULL};
        size_t found = 0;
        int status = run(arguments, output, sizeof output);
        cr_expect_eq(status == 0, lookups[i].keys[0] != NULL, "%s: %s", lookups[i].name, output);
        for (const char *at = output; (at = strstr(at, "# Host ")) != NULL; at++)
            found++;
        for (size_t j = 0; j < ROWS(lookups[i].keys) && lookups[i].keys[j] != NULL; j++) {
            cr_expect_not_null(strstr(output, lookups[i].keys[j]), "%s: %s", lookups[i].name,
                               output);
            found--;
        }
        cr_expect_eq(found, 0, "%s: %s", lookups[i].name, output);
    }
}

/* Every line is one that OpenSSH can read: it takes the fingerprint of each key. */
Test(agent_files, openssh_reads_every_line_of_known_hosts)
{
    char output[4096];
    const char *const arguments[] = {"ssh-keygen", "-l", "-f", path, NULL};
    size_t lines = 0;

    make_plan(known);
    CLEANUP_FREE char *text = render_known_hosts(&plan);
    write_file(path, text, 0644);
    cr_assert_eq(run(arguments, output, sizeof output), 0, "%s", output);
    for (const char *at = output; (at = strstr(at, "SHA256:")) != NULL; at++)
        lines++;
    cr_expect_eq(lines, 5, "%s", output);
}
