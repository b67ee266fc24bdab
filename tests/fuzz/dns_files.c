/* SPDX-License-Identifier: MIT */
/*
 * dns_files.c: /etc/hosts and /etc/resolv.conf, of any length.
 *
 * The first byte of an input says which of the two; then as many times 256 bytes as the second says are
 * of the third, so that lines are cut by the relay's buffer; the rest is the text.  What was read is
 * what the same file, held in memory as a whole, says.
 */
#include "relay/dial/dialler.h"

#include "fuzz.h"

#include "common/cleanup.h"

#include <strings.h>
#include <sys/mman.h>

#define HOST         "gitea.example"
#define LONGEST_LINE (IO_BUFFER_SIZE - 2) /* longer lines are passed over */

static struct io_buffer buffer;
static struct relay_config config; /* too large for a stack */
static struct dialler dialler = {.config = &config, .buffer = &buffer};
static struct relay_upstream_config upstream = {.host = HOST, .port = 22};

/* Takes the next line that is not too long, without its comment; NULL at the end. */
static char *next_line(char **rest, const char *end, const char *comments)
{
    while (*rest < end) {
        char *line = *rest, *newline = memchr(line, '\n', (size_t)(end - line));
        size_t length = (size_t)((newline ? newline : end) - line);
        *rest = line + length + 1;
        line[length] = '\0';
        line[strcspn(line, comments)] = '\0';
        if (length <= LONGEST_LINE)
            return line;
    }
    return NULL;
}

static void check_hosts(char *text, size_t length)
{
    const struct resolution *read = &dialler.destinations[0].from_hosts;
    size_t count = 0;

    for (char *rest = text, *line; (line = next_line(&rest, text + length, "#"));) {
        char *words = line;
        const char *literal = strtok_r(words, " \t\r", &words), *name;
        union address address;
        if (!literal || !address_from_literal(literal, 22, &address))
            continue;
        while ((name = strtok_r(NULL, " \t\r", &words))) {
            if (strcasecmp(name, HOST) != 0 || count == RESOLVED_MAX_ADDRESSES)
                continue;
            REQUIRE(count < read->count);
            REQUIRE(memcmp(&read->addresses[count++], &address, sizeof address) == 0);
        }
    }
    REQUIRE(count == read->count);
}

/* True if the resolver's i-th server is what the word says. */
static bool is_server(size_t i, const char *word)
{
    const char *colon = strchr(word, ':');
    struct dns_server server;

    if (word[0] == '[' || (colon && !strchr(colon + 1, ':')) || !dns_server_read(word, &server))
        return false;
    REQUIRE(i < dialler.resolver.conf.server_count && server.port == DNS_SERVER_PORT);
    REQUIRE(dns_server_is(&server, &dialler.resolver.conf.servers[i]));
    return true;
}

/*
 * The servers are those of the file, in their order; those that are too many are left out.  The domains are
 * of its last line with any, as far as there is room.
 */
static void check_resolv_conf(char *text, size_t length)
{
    const struct resolv_conf *conf = &dialler.resolver.conf;
    size_t servers = 0;

    for (char *rest = text, *line; (line = next_line(&rest, text + length, "#;"));) {
        char *words = line;
        const char *keyword =
            *line == ' ' || *line == '\t' ? NULL : strtok_r(words, " \t\r", &words);
        const char *server =
            keyword && strcmp(keyword, "nameserver") == 0 ? strtok_r(NULL, " \t\r", &words) : NULL;
        if (server && servers < RESOLVER_MAX_SERVERS)
            servers += is_server(servers, server);
    }
    REQUIRE(conf->server_count == (servers > 0 ? servers : 1)); /* 127.0.0.1 in place of none */
    REQUIRE(memchr(conf->search, '\0', sizeof conf->search));
    REQUIRE(!strpbrk(conf->search, "\t\r\n") && !strstr(conf->search, "  "));
    REQUIRE(conf->ndots <= RESOLVER_MAX_NDOTS);
}

static char *make_text(const uint8_t *data, size_t size, size_t *length)
{
    size_t filling = data[1] * (size_t)256;
    char *text = malloc(filling + size - 3 + 1);

    REQUIRE(text);
    memset(text, data[2], filling);
    memcpy(text + filling, data + 3, size - 3);
    *length = filling + size - 3;
    text[*length] = '\0';
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t length;

    if (size < 3)
        return 0;
    CLEANUP_FREE char *text = make_text(data, size, &length);
    CLEANUP_FD int fd = memfd_create("fuzz", MFD_CLOEXEC);
    REQUIRE(fd >= 0 && write(fd, text, length) == (ssize_t)length);
    dialler.destination_count = 1;
    dialler.destinations[0].config = &upstream;
    dialler.resolver.files[DNS_HOSTS].fd = dialler.resolver.files[DNS_RESOLV_CONF].fd = fd;
    if (data[0] & 1) {
        dns_files_read(&dialler, DNS_RESOLV_CONF);
        check_resolv_conf(text, length);
    } else {
        dns_files_read(&dialler, DNS_HOSTS);
        check_hosts(text, length);
    }
    return 0;
}
