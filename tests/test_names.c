/* SPDX-License-Identifier: MIT */
/*
 * test_names.c: what the machine says of names: /etc/hosts, /etc/resolv.conf, their replacement, the search
 * list, several DNS servers.
 *
 * Each test lives in a network and a mount namespace of its own, where /etc is empty, so the files are
 * the test's and port 53 is free.  The sandbox is required: every lookup here happens behind it.
 */
#include "common/cleanup.h"
#include "dns_server.h"
#include "gate_fixture.h"
#include "process.h"
#include "tcp.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ipv6.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define PORT     2200
#define DNS_53   53
#define NAME     "gitea.example"
#define OPTIONS  "\"sandbox\": \"" SANDBOX "\", \"resolve_timeout_ms\": 2000"
#define NETNS    "gate-test"
#define NOBODY_S "127.9.9.9" /* no DNS server listens there */

#if SANITIZED
#define SANDBOX "best-effort"
#else
#define SANDBOX "required"
#endif

static struct gate gate;
static struct dns_server *dns;
static int upstream;

/* ---- the machine ---- */

static void bring_loopback_up(void)
{
    CLEANUP_FD int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};

    cr_assert(fd >= 0 && !ioctl(fd, SIOCSIFFLAGS, &request), "%m");
}

/* Loopback with an address that means something on one link only. */
static void add_link_local_address(void)
{
    CLEANUP_FD int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct in6_ifreq request = {.ifr6_prefixlen = 64, .ifr6_ifindex = (int)if_nametoindex("lo")};

    cr_assert_eq(inet_pton(AF_INET6, "fe80::53", &request.ifr6_addr), 1);
    cr_assert(fd >= 0 && !ioctl(fd, SIOCSIFADDR, &request), "%m");
    const struct sockaddr_in6 address = {.sin6_family = AF_INET6,
                                         .sin6_addr = request.ifr6_addr,
                                         .sin6_scope_id = (uint32_t)request.ifr6_ifindex};
    while (bind(fd, (const struct sockaddr *)&address,
                sizeof address)) { /* it is tentative at first */
        cr_assert_eq(errno, EADDRNOTAVAIL);
        sleep_ms(2);
    }
}

static void set_up(void)
{
    if (geteuid() != 0) {
        cr_assert_null(getenv("CI"), "run as root, as CI must");
        cr_skip_test("only root can have /etc for itself");
    }
    cr_assert_eq(unshare(CLONE_NEWNS | CLONE_NEWNET), 0, "%m");
    bring_loopback_up();
    cr_assert_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0, "%m");
    cr_assert_eq(mount("tmpfs", "/etc", "tmpfs", 0, NULL), 0, "%m");
    gate_set_up(&gate);
    dns = dns_start_at(gate.dns_address, DNS_53, NAME);
    dns_set(dns, &(struct dns_answer){.a = gate.upstream_address, .ttl_s = 60});
    upstream = tcp_listen(gate.upstream_address, PORT, 8);
}

static void tear_down(void)
{
    gate_tear_down(&gate);
    dns_stop(dns);
    cr_assert_eq(close(upstream), 0);
}

TestSuite(names, .init = set_up, .fini = tear_down, .timeout = 60);

/* The file as a new one, in place of the one that is there, if one is. */
__attribute__((format(printf, 2, 3))) static void replace(const char *path, const char *format, ...)
{
    CLEANUP_FREE char *new_path = NULL;
    va_list arguments;

    cr_assert_gt(asprintf(&new_path, "%s.new", path), 0);
    FILE *file = fopen(new_path, "we");
    cr_assert_not_null(file);
    va_start(arguments, format);
    cr_assert_geq(vfprintf(file, format, arguments), 0);
    va_end(arguments);
    cr_assert_eq(fclose(file), 0);
    cr_assert_eq(rename(new_path, path), 0);
}

static void use_server(const char *address)
{
    replace("/etc/resolv.conf", "nameserver %s\n", address);
}

/* ---- what clients get ---- */

static void run(const char *host)
{
    gate_run(&gate, host, PORT, OPTIONS);
}

/* True if the upstream gets the client; false if that is told why not. */
static bool connects(void)
{
    int client = tcp_connect(gate.address, PORT);
    struct pollfd ends[] = {{.fd = upstream, .events = POLLIN}, {.fd = client, .events = POLLIN}};

    tcp_send(client, IDENTIFICATION, IDENTIFICATION_LENGTH);
    cr_assert_gt(poll(ends, 2, WAIT_MS), 0, "the client hears nothing");
    bool connected = ends[0].revents != 0;
    if (connected)
        cr_assert_eq(close(tcp_accept(upstream)), 0);
    tcp_reset(client);
    return connected;
}

static void expect_connects(void)
{
    cr_expect(connects());
}

static void expect_told(const char *part)
{
    int client = tcp_connect(gate.address, PORT);

    tcp_send(client, IDENTIFICATION, IDENTIFICATION_LENGTH);
    CLEANUP_FREE char *told = ssh_read_disconnect(client);
    expect_part(told, part);
    cr_assert_eq(close(client), 0);
}

static void expect_told_of_server(const char *did)
{
    char part[128];

    (void)snprintf(part, sizeof part, "DNS server %s %s", gate.dns_address, did);
    expect_told(part);
}

/* The change is seen by a dial of the next second. */
static void expect_follows(bool is_way_open)
{
    int64_t end_ms = now_ms() + WAIT_MS;

    while (connects() != is_way_open && now_ms() < end_ms)
        sleep_ms(50);
    cr_expect_lt(now_ms(), end_ms, "the change is not seen");
}

/* ---- DNS behind the sandbox ---- */

Test(names, truncated_answer_behind_the_sandbox)
{
    dns_set(dns, &(struct dns_answer){.a = gate.upstream_address, .truncated = true});
    use_server(gate.dns_address);
    run(NAME);
    expect_connects();
    cr_expect_gt(dns_count_tcp_questions(dns), 0);
}

/* ---- the search list ---- */

/* systemd-resolved writes it. */
Test(names, search_list_of_the_root_alone)
{
    dns_stop(dns);
    dns = dns_start_at(gate.dns_address, DNS_53, "nas");
    dns_set(dns, &(struct dns_answer){.a = gate.upstream_address});
    replace("/etc/resolv.conf", "nameserver %s\noptions edns0 trust-ad\nsearch .\n",
            gate.dns_address);
    run("nas");
    expect_connects();
}

Test(names, search_list)
{
    replace("/etc/resolv.conf", "nameserver %s\nsearch other.example example.\n", gate.dns_address);
    run("gitea");
    expect_connects();
}

Test(names, search_list_with_dots_before_the_domains)
{
    replace("/etc/resolv.conf", "nameserver %s\nsearch .other.example .example.\n",
            gate.dns_address);
    run("gitea");
    expect_connects();
}

/* A name with a dot is tried as it is first, and then in the domains. */
static void expect_search_after(enum dns_result others, const char *host, const char *name)
{
    dns_stop(dns);
    dns = dns_start_at(gate.dns_address, DNS_53, name);
    dns_set(dns, &(struct dns_answer){.a = gate.upstream_address, .others = others});
    replace("/etc/resolv.conf", "nameserver %s\nsearch corp.example\n", gate.dns_address);
    run(host);
    expect_connects();
}

Test(names, search_list_after_no_such_name)
{
    expect_search_after(DNS_NO_SUCH_NAME, "git.lab", "git.lab.corp.example");
}

Test(names, search_list_after_a_refusal)
{
    expect_search_after(DNS_REFUSED, "git.lab", "git.lab.corp.example");
}

Test(names, search_list_after_a_failure)
{
    expect_search_after(DNS_SERVER_FAILURE, "git.lab", "git.lab.corp.example");
}

/* A refusal in a domain ends the search, but not before the name itself was tried. */
Test(names, name_itself_after_a_refusal_in_a_domain)
{
    expect_search_after(DNS_REFUSED, "nas", "nas");
}

/* What a server did for one name is not what it does for the next. */
Test(names, reason_of_the_name_that_is_asked_for)
{
    dns_set(dns, &(struct dns_answer){.others = DNS_SERVER_FAILURE, .silent_to = "nas.b.example"});
    replace("/etc/resolv.conf", "nameserver %s\nsearch a.example b.example\n", gate.dns_address);
    gate_run(&gate, "nas", PORT, "\"resolve_timeout_ms\": 500");
    expect_told_of_server("gave no answer");
}

Test(names, ndots)
{
    dns_set(dns, &(struct dns_answer){.a = gate.upstream_address, .others = DNS_OK});
    replace("/etc/resolv.conf", "nameserver %s\nsearch x.example\noptions ndots:3\n",
            gate.dns_address);
    run(NAME);
    expect_connects();
    cr_expect_eq(dns_count_questions(dns), 4, "gitea.example.x.example first, both families each");
}

Test(names, no_aaaa)
{
    replace("/etc/resolv.conf", "nameserver %s\noptions no-aaaa\n", gate.dns_address);
    run(NAME);
    expect_connects();
    cr_expect_eq(dns_count_questions(dns), 1);
}

Test(names, domain_of_the_machine)
{
    cr_assert_eq(unshare(CLONE_NEWUTS), 0);
    cr_assert_eq(sethostname("host.example", strlen("host.example")), 0);
    use_server(gate.dns_address);
    run("gitea");
    expect_connects();
}

/* ---- several servers ---- */

static void expect_next_server_after(enum dns_result result, const char *did)
{
    struct dns_server *first = dns_start_at(gate.address, DNS_53, NAME);
    char part[256];

    dns_set(first, &(struct dns_answer){.result = result, .others = result});
    replace("/etc/resolv.conf", "nameserver %s\nnameserver %s\n", gate.address, gate.dns_address);
    run(NAME);
    expect_connects();
    sleep_ms(1100); /* longer than an answer is kept */
    dns_set(dns, &(struct dns_answer){.result = result, .others = result});
    (void)snprintf(part, sizeof part, "cannot resolve " NAME ": DNS server %s %s, %s %s",
                   gate.address, did, gate.dns_address, did);
    expect_told(part);
    dns_stop(first);
}

Test(names, next_server_after_a_refusal)
{
    expect_next_server_after(DNS_REFUSED, "refused to answer");
}

Test(names, next_server_after_a_failure)
{
    expect_next_server_after(DNS_SERVER_FAILURE, "failed (SERVFAIL)");
}

/* A label of 255 bytes, which begins with the whole name and a NUL, is not the name. */
Test(names, answer_to_another_question)
{
    static const unsigned char QUESTION[1 + 255 + 5] = "\xff" NAME;

    dns_set(dns, &(struct dns_answer){.result = DNS_SERVER_FAILURE,
                                      .question = QUESTION,
                                      .question_length = sizeof QUESTION});
    replace("/etc/resolv.conf", "nameserver %s\nsearch .\n", gate.dns_address);
    gate_run(&gate, NAME, PORT, "\"resolve_timeout_ms\": 500");
    expect_told_of_server("gave no answer");
}

Test(names, no_server_at_all)
{
    run(NAME);
    expect_told("cannot resolve " NAME ": DNS server 127.0.0.1 cannot be reached (Connection "
                "refused)");
}

/* ---- zones ---- */

static void expect_zone(const char *server, const char *options)
{
    replace("/etc/resolv.conf", "nameserver %s\n", server);
    gate_run(&gate, NAME, PORT, options);
    expect_connects();
}

static void serve_on_link(void)
{
    add_link_local_address();
    dns_stop(dns);
    dns = dns_start_at("fe80::53%lo", DNS_53, NAME);
    dns_set(dns, &(struct dns_answer){.a = gate.upstream_address, .truncated = true});
}

Test(names, zone_in_resolv_conf)
{
    serve_on_link();
    expect_zone("fe80::53%lo", OPTIONS);
}

Test(names, zone_as_a_number)
{
    char server[32];

    serve_on_link();
    (void)snprintf(server, sizeof server, "fe80::53%%%u", if_nametoindex("lo"));
    expect_zone(server, OPTIONS);
}

Test(names, zone_in_dns_servers)
{
    serve_on_link();
    expect_zone(NOBODY_S, OPTIONS ", \"dns_servers\": [\"[fe80::53%lo]:53\"]");
}

Test(names, zone_that_is_not_there)
{
    replace("/etc/resolv.conf", "nameserver fe80::53%%gone\n");
    run(NAME);
    expect_told("DNS server fe80::53%gone cannot be reached (No such device)");
}

/* ---- files that are replaced ---- */

Test(names, resolv_conf_that_is_replaced)
{
    use_server(NOBODY_S);
    run(NAME);
    cr_expect_not(connects());
    use_server(gate.dns_address);
    expect_follows(true);
    dns_set(dns, &(struct dns_answer){0});
    expect_follows(false);
    cr_expect_eq(gate_count_events(&gate, "dns-file-replaced"), 0);
}

Test(names, resolv_conf_that_is_written_anew)
{
    use_server(NOBODY_S);
    run(NAME);
    cr_expect_not(connects());
    FILE *file = fopen("/etc/resolv.conf", "we");
    cr_assert_not_null(file);
    cr_assert_gt(fprintf(file, "nameserver %s\n", gate.dns_address), 0);
    cr_assert_eq(fclose(file), 0);
    expect_follows(true);
}

/* As systemd-resolved, NetworkManager and resolvconf have it: a link to a link into /run. */
Test(names, resolv_conf_behind_links_that_are_switched)
{
    cr_assert_eq(mount("tmpfs", "/run", "tmpfs", 0, NULL), 0);
    cr_assert_eq(mkdir("/run/a", 0755), 0);
    cr_assert_eq(mkdir("/run/b", 0755), 0);
    replace("/run/a/resolv.conf", "nameserver %s\n", NOBODY_S);
    replace("/run/b/resolv.conf", "nameserver %s\n", gate.dns_address);
    cr_assert_eq(symlink("a", "/run/current"), 0);
    cr_assert_eq(symlink("../run/current/resolv.conf", "/etc/resolv.conf"), 0);
    run(NAME);
    cr_expect_not(connects());
    cr_assert_eq(symlink("b", "/run/next"), 0);
    cr_assert_eq(rename("/run/next", "/run/current"), 0);
    expect_follows(true);
}

Test(names, resolv_conf_that_vanishes_and_comes_back)
{
    struct dns_server *other = dns_start_at(gate.address, DNS_53, NAME);

    use_server(gate.dns_address);
    run(NAME);
    expect_connects();
    cr_assert_eq(unlink("/etc/resolv.conf"), 0);
    sleep_ms(1100); /* longer than an answer is kept, and than the files are not looked at */
    expect_connects();
    dns_set(other, &(struct dns_answer){.result = DNS_REFUSED, .others = DNS_REFUSED});
    use_server(gate.address);
    expect_follows(false);
    dns_stop(other);
}

Test(names, resolv_conf_that_was_not_there)
{
    run(NAME);
    cr_expect_not(connects());
    use_server(gate.dns_address);
    expect_follows(true);
}

/* A dial that waits for a server that is no more gets its answer from the new one. */
Test(names, question_that_is_open_when_the_servers_change)
{
    struct dns_server *silent = dns_start_at(gate.address, DNS_53, NAME);

    dns_set(silent, &(struct dns_answer){.silent = true});
    use_server(gate.address);
    gate_run(&gate, NAME, PORT, "\"resolve_timeout_ms\": 60000");
    int first = tcp_connect(gate.address, PORT);
    tcp_send(first, IDENTIFICATION, IDENTIFICATION_LENGTH);
    while (dns_count_questions(silent) == 0)
        sleep_ms(2);
    use_server(gate.dns_address);
    sleep_ms(1100); /* than the files are not looked at */
    int second = tcp_connect(gate.address, PORT);
    cr_assert_eq(close(tcp_accept(upstream)), 0);
    cr_assert_eq(close(tcp_accept(upstream)), 0);
    tcp_reset(first);
    tcp_reset(second);
    dns_stop(silent);
}

Test(names, hosts_that_is_replaced)
{
    use_server(NOBODY_S);
    replace("/etc/hosts", "127.0.0.1 localhost\n");
    run(NAME);
    cr_expect_not(connects());
    replace("/etc/hosts", "%s %s\n", gate.upstream_address, NAME);
    expect_follows(true);
    replace("/etc/hosts", "127.0.0.1 localhost\n");
    expect_follows(false);
    cr_expect_eq(gate_count_events(&gate, "dns-file-replaced"), 0);
}

/* ---- finding the process that opens the files ---- */

/* The children of the relay, as /proc has them: numbers, a space behind each. */
static void read_children(char children[64])
{
    char path[64];

    children[0] = '\0';
    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)gate.relay,
                   (int)gate.relay);
    FILE *file = fopen(path, "re");
    cr_assert_not_null(file);
    if (!fgets(children, 64, file))
        children[0] = '\0';
    cr_assert_eq(fclose(file), 0);
}

static void expect_no_opener(void)
{
    char children[64];

    read_children(children);
    cr_expect_str_empty(children);
}

/* A number that is no process's is never returned: kill(2) takes -1 for everybody. */
static pid_t find_opener(void)
{
    char children[64];

    read_children(children);
    pid_t opener = (pid_t)strtol(children, NULL, 10);
    cr_assert_gt(opener, 1, "the relay has no process that opens files for it");
    return opener;
}

/* Only ever one process, and one that is the relay's child at this moment. */
static void signal_opener(pid_t opener, int number)
{
    cr_assert_gt(opener, 1);
    cr_assert_eq(opener, find_opener());
    cr_assert_eq(kill(opener, number), 0);
}

static void expect_status(pid_t pid, const char *expected)
{
    char path[64], line[256];
    bool found = false;

    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    cr_assert_not_null(file);
    while (!found && fgets(line, sizeof line, file))
        found = strncmp(line, expected, strlen(expected)) == 0;
    cr_assert_eq(fclose(file), 0);
    cr_expect(found, "%s has no line that begins with \"%s\"", path, expected);
}

/* ---- the files of a network namespace ---- */

/* Makes this network known by a name, as ip-netns(8) does. */
static void name_network(void)
{
    cr_assert_eq(mount("tmpfs", "/run", "tmpfs", 0, NULL), 0);
    cr_assert_eq(mkdir("/run/netns", 0755), 0);
    cr_assert_eq(mkdir("/etc/netns", 0755), 0);
    cr_assert_eq(mkdir("/etc/netns/" NETNS, 0755), 0);
    int fd = open("/run/netns/" NETNS, O_CREAT | O_CLOEXEC | O_RDONLY, 0444);
    cr_assert_geq(fd, 0);
    cr_assert_eq(close(fd), 0);
    cr_assert_eq(mount("/proc/self/ns/net", "/run/netns/" NETNS, NULL, MS_BIND, NULL), 0, "%m");
}

static void run_in_netns(const char *path)
{
    const struct gate_entry entry = {.alias = "upstream", .host = NAME, .port = PORT};

    gate_prepare(&gate, &entry, 1);
    gate_set_networks(&gate, gate.address, path);
    gate_start(&gate, OPTIONS);
}

Test(names, resolv_conf_of_the_egress_namespace)
{
    name_network();
    use_server(NOBODY_S);
    replace("/etc/netns/" NETNS "/resolv.conf", "nameserver %s\n", gate.dns_address);
    run_in_netns("/run/netns/" NETNS);
    expect_connects();
}

/* The message names the file that was followed. */
Test(names, egress_namespace_file_that_nobody_sees_replaced)
{
    name_network();
    use_server(NOBODY_S);
    replace("/etc/netns/" NETNS "/resolv.conf", "nameserver %s\n", gate.dns_address);
    run_in_netns("/run/netns/" NETNS);
    expect_connects();
    signal_opener(find_opener(), SIGKILL);
    json_object_put(gate_event(&gate, "dns-opener-ended", 0));
    replace("/etc/netns/" NETNS "/resolv.conf", "nameserver %s\n", NOBODY_S);
    sleep_ms(1100); /* than the files are not looked at */
    expect_connects();
    struct json_object *event = gate_event(&gate, "dns-file-replaced", 0);
    expect_part(json_object_to_json_string_ext(event, JSON_C_TO_STRING_NOSLASHESCAPE),
                "/etc/netns/" NETNS "/resolv.conf was replaced");
    json_object_put(event);
}

/* hosts is the machine's until the namespace has its own. */
Test(names, hosts_of_the_egress_namespace)
{
    name_network();
    use_server(NOBODY_S);
    replace("/etc/hosts", "127.0.0.1 localhost\n");
    run_in_netns("/var/run/netns/" NETNS);
    cr_expect_not(connects());
    replace("/etc/netns/" NETNS "/hosts", "%s %s\n", gate.upstream_address, NAME);
    expect_follows(true);
}

/* ---- the process that opens the files ---- */

Test(names, opener_has_nothing_but_its_socket)
{
    if (SANITIZED)
        cr_skip_test("the relay has no sandbox when it is built with AddressSanitizer");
    use_server(gate.dns_address);
    run(NAME);
    expect_connects(); /* it has answered, so it is in its sandbox */
    pid_t opener = find_opener();
    cr_expect_eq(process_count_descriptors(opener), 1);
    expect_status(opener, "Name:\tssh-gate-opener");
    expect_status(opener, "NoNewPrivs:\t1");
    expect_status(opener, "Seccomp:\t2");
    expect_status(opener, "CapEff:\t0000000000000000");
    expect_status(opener, "CapBnd:\t0000000000000000");
}

Test(names, opener_ends_with_the_relay)
{
    use_server(gate.dns_address);
    run(NAME);
    pid_t opener = find_opener();
    gate_stop(&gate);
    cr_expect_eq(kill(opener, 0), -1, "it is there after stop");

    run(NAME);
    opener = find_opener();
    cr_assert_gt(gate.relay, 1);
    cr_assert_eq(kill(gate.relay, SIGKILL), 0);
    cr_expect(process_ends_within(opener, WAIT_MS));
}

Test(names, no_opener_without_names)
{
    gate_run(&gate, gate.upstream_address, PORT, OPTIONS);
    expect_connects();
    expect_no_opener();
}

/* Without it the gate goes on with the files that it has, and says so. */
Test(names, opener_that_is_killed)
{
    use_server(gate.dns_address);
    run(NAME);
    expect_connects();
    signal_opener(find_opener(), SIGKILL);
    json_object_put(gate_event(&gate, "dns-opener-ended", 0));
    sleep_ms(1100); /* longer than an answer is kept */
    expect_connects();
    use_server(NOBODY_S);
    sleep_ms(1100);
    expect_connects();
    json_object_put(gate_event(&gate, "dns-file-replaced", 0));
    expect_no_opener();
}

static void limit_descriptors(rlim_t count)
{
    struct rlimit limit;

    cr_assert_gt(gate.relay, 1);
    cr_assert_eq(prlimit(gate.relay, RLIMIT_NOFILE, NULL, &limit), 0);
    limit.rlim_cur = count > 0 ? count : limit.rlim_max;
    cr_assert_eq(prlimit(gate.relay, RLIMIT_NOFILE, &limit, NULL), 0);
}

/* The first that is free in the relay. */
static unsigned int find_free_descriptor(void)
{
    char path[64];

    for (unsigned int fd = 0;; fd++) {
        (void)snprintf(path, sizeof path, "/proc/%d/fd/%u", (int)gate.relay, fd);
        struct stat unused;
        if (lstat(path, &unused))
            return fd;
    }
}

/* The only free descriptor is the client's, so what the opener sends is lost; it sends it again. */
Test(names, files_that_come_when_no_descriptor_is_free)
{
    use_server(NOBODY_S);
    run(NAME);
    use_server(gate.dns_address);
    limit_descriptors(find_free_descriptor() + 1);
    cr_expect_not(connects());
    limit_descriptors(0);
    expect_follows(true);
    cr_expect_eq(gate_count_events(&gate, "dns-opener-ended"), 0);
    expect_status(find_opener(), "Name:\tssh-gate-opener");
}

/* One that does not answer is not waited for to the end. */
Test(names, opener_that_hangs)
{
    use_server(gate.dns_address);
    run(NAME);
    pid_t opener = find_opener();
    signal_opener(opener, SIGSTOP);
    expect_connects();
    expect_connects();
    signal_opener(opener, SIGCONT);
}

Test(names, reason_when_the_opener_hangs)
{
    use_server(gate.dns_address);
    gate_run(&gate, NAME, PORT, "\"resolve_timeout_ms\": 100");
    pid_t opener = find_opener();
    signal_opener(opener, SIGSTOP);
    expect_told("no answer within 100 ms: /etc/hosts and /etc/resolv.conf have not been looked at");
    signal_opener(opener, SIGCONT);
}
