/* SPDX-License-Identifier: MIT */
/*
 * load.c: the benchmark's load, both ends of it: the server behind a forwarder, and its clients.
 *
 * Both ends begin as SSH does (RFC 4253 §4.2): each sends its identification at once and waits for
 * the other's.  Both have a fixed length; the client's says what it asks for:
 *
 *     echo           every byte comes back
 *     source BYTES   the server sends so many
 *     sink BYTES     the client does
 *
 * The last two are a transfer.  Its sender shuts its sending side behind the last byte.  Its
 * receiver counts up to the end of file and answers with the count.  Both ends know what it has to
 * be, so a transfer in which one byte is lost or added is an error at both.
 *
 *     bulk   transfers, as many at once as asked for: half of the bytes down, then half of them up
 *     rate   connect, exchange identifications, end, again; so many at once, for a time
 *     ping   64 bytes there and back, one after the other, for a time; perhaps beside transfers
 *     idle   opens connections and holds them until standard input ends; then each must still echo
 *
 * At both ends transfers have a thread of their own.  What ping measures beside transfers is thus
 * the forwarder, and not how the ends share a thread.
 *
 * Each prints one JSON object, the server when it listens.  Whatever goes wrong is a message and exit status 1.
 */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static const char USAGE[] =
    "usage: load server ADDRESS PORT\n"
    "       load bulk ADDRESS PORT --connections N --bytes B\n"
    "       load rate ADDRESS PORT --connections N --seconds S\n"
    "       load ping ADDRESS PORT --seconds S [--beside N]\n"
    "       load idle ADDRESS PORT --connections N\n"
    "\n"
    "server   what the others talk to, through a forwarder or without one\n"
    "bulk     moves B bytes over each of N connections, half of them down, then half of them up\n"
    "rate     opens and ends connections, N at a time\n"
    "ping     times 64 bytes there and back; with --beside, while N others transfer\n"
    "idle     opens N connections, prints, holds them until standard input ends\n"
    "\n"
    "ADDRESS is an IPv4 address.  Each prints one JSON object, the server when it listens.  A\n"
    "client's exit status is 0 only if every connection was answered and every count of bytes was\n"
    "right.\n";

/* Options that a mode has. */
enum { CONNECTIONS = 1, BYTES = 2, SECONDS = 4, BESIDE = 8 };

struct mode {
    const char *name;
    void (*run)(const struct task *task);
    unsigned int needs, takes;
};

static const struct mode MODES[] = {
    {"server", run_server, 0, 0},
    {"bulk", run_bulk, CONNECTIONS | BYTES, 0},
    {"rate", run_rate, CONNECTIONS | SECONDS, 0},
    {"ping", run_ping, SECONDS, BESIDE},
    {"idle", run_idle, CONNECTIONS, 0},
};

static const struct mode *find_mode(const char *name)
{
    for (size_t i = 0; i < sizeof MODES / sizeof MODES[0]; i++)
        if (strcmp(MODES[i].name, name) == 0)
            return &MODES[i];
    die("no such mode: %s; load --help shows what there is", name);
}

static double number(const char *what, const char *text, double minimum, double maximum)
{
    char *end;
    double value;

    errno = 0;
    value = strtod(text, &end);
    if (end == text || *end || errno || !(value >= minimum && value <= maximum))
        die("%s is \"%s\"; it takes a number from %.15g to %.15g", what, text, minimum, maximum);
    return value;
}

/* Returns what was given. */
static unsigned int read_options(int argc, char **argv, struct task *task)
{
    static const struct option OPTIONS[] = {{"connections", required_argument, NULL, CONNECTIONS},
                                            {"bytes", required_argument, NULL, BYTES},
                                            {"seconds", required_argument, NULL, SECONDS},
                                            {"beside", required_argument, NULL, BESIDE},
                                            {0}};
    unsigned int given = 0;
    int option;

    while ((option = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1) {
        switch (option) {
        case CONNECTIONS:
            task->connections = (size_t)number("--connections", optarg, 1, 1e6);
            break;
        case BYTES:
            task->bytes = (uint64_t)number("--bytes", optarg, 2, 1e15);
            break;
        case SECONDS:
            task->seconds = number("--seconds", optarg, 0.001, 3600);
            break;
        case BESIDE:
            task->beside = (size_t)number("--beside", optarg, 1, 1000);
            break;
        default:
            exit(EXIT_FAILURE);
        }
        given |= (unsigned int)option;
    }
    if (optind < argc)
        die("\"%s\" is too much; load --help shows what there is", argv[optind]);
    return given;
}

static void read_address(const char *address, const char *port, struct sockaddr_in *server)
{
    server->sin_family = AF_INET;
    server->sin_port = htons((uint16_t)number("PORT", port, 1, 65535));
    if (inet_pton(AF_INET, address, &server->sin_addr) != 1)
        die("ADDRESS is \"%s\"; it takes an IPv4 address", address);
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit))
        die_errno("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit))
        die_errno("setrlimit");
}

int main(int argc, char **argv)
{
    struct task task = {0};

    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return fputs(USAGE, stdout) < 0;
    if (argc < 4) {
        (void)fputs(USAGE, stderr);
        return EXIT_FAILURE;
    }
    const struct mode *mode = find_mode(argv[1]);
    read_address(argv[2], argv[3], &task.server);
    unsigned int given = read_options(argc - 3, argv + 3, &task);
    if ((given & mode->needs) != mode->needs || (given & ~(mode->needs | mode->takes)) != 0)
        die("%s needs other options; load --help shows them", mode->name);
    raise_descriptor_limit();
    mode->run(&task);
    return EXIT_SUCCESS;
}
