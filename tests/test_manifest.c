/* SPDX-License-Identifier: MIT */
/*
 * test_manifest.c: what prepare makes of a bottle: the good, the bad, and what is left on disk.
 *
 * In the tables, JSON is written with ' in place of "; where a ' is meant, it is \u0027.
 */
#include "bottle/plan.h"
#include "bottle/prepare.h"
#include "common/cleanup.h"
#include "common/sidecar/stage_claim.h"
#include "common/text/json_text.h"
#include "directory.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

/* A bottle with one entry that is good but for what is added to it. */
#define GITEA(more)    "{'ssh':[{'Host':'gitea','Hostname':'gitea.example'" more "}]}"
#define HOSTNAME(name) "{'ssh':[{'Host':'gitea','Hostname':" name "}]}"
#define HOST(name)     "{'ssh':[{'Host':" name ",'Hostname':'gitea.example'}]}"

#define ED25519 "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO5oVek6oac/sbglPnUQ4lVic4fw5B60k3AjwivJBBB6"
#define ECDSA                                                                                      \
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBDabimkKnkxjPN1sR"    \
    "32gv/1SGrlNEoK4BJLchU6qWPb1RvyrrJ8B6asAO3lpXzAF4wMXW0utbENbNDP81v0kneM="

static char stage[] = "/tmp/test_manifest.XXXXXX"; /* one for each test, which is a process */

static void set_up(void)
{
    cr_assert_not_null(mkdtemp(stage));
}

static void remove_file(const char *name)
{
    char path[128];

    cr_assert_lt(snprintf(path, sizeof path, "%s/%s", stage, name), (int)sizeof path);
    cr_assert_eq(unlink(path), 0, "%s", path);
}

static void remove_files(void)
{
    remove_file(ENTRYPOINT_FILE);
    remove_file(SSH_CONFIG_FILE);
    remove_file(KNOWN_HOSTS_FILE);
    remove_file(STAGE_CLAIM_FILE);
}

static void tear_down(void)
{
    cr_assert_eq(rmdir(stage), 0);
}

TestSuite(manifest, .init = set_up, .fini = tear_down);

/* The JSON that a table's text stands for; malloc'ed. */
static char *json_of(const char *text)
{
    char *json = strdup(text);

    cr_assert_not_null(json);
    for (char *at = json; (at = strchr(at, '\'')) != NULL;)
        *at = '"';
    return json;
}

/* --- bad bottles that are too long for a table: each is made by a function --- */

static FILE *stream;
static char *buffer;
static size_t buffer_size;

static void begin(const char *text)
{
    stream = open_memstream(&buffer, &buffer_size);
    cr_assert_not_null(stream);
    cr_assert_geq(fputs(text, stream), 0);
}

static void repeat(const char *text, size_t count)
{
    for (size_t i = 0; i < count; i++)
        cr_assert_geq(fputs(text, stream), 0);
}

static char *end(const char *text)
{
    cr_assert_geq(fputs(text, stream), 0);
    cr_assert_eq(fclose(stream), 0);
    return buffer;
}

static char *hostname_of_300(void)
{
    begin("{'ssh':[{'Host':'gitea','Hostname':'");
    repeat("abcdefghi.", 29);
    return end("abcdefghij'}]}");
}

static char *hostname_of_254(void)
{
    begin("{'ssh':[{'Host':'gitea','Hostname':'");
    repeat("abcdefghi.", 25);
    return end("abcd'}]}");
}

static char *hostname_of_64k(void)
{
    begin("{'ssh':[{'Host':'gitea','Hostname':'");
    repeat("a", 64 << 10);
    return end("'}]}");
}

static char *hostname_of_64k_quotes(void)
{
    begin("{'ssh':[{'Host':'gitea','Hostname':'");
    repeat("\\u0027", 64 << 10);
    return end("'}]}");
}

static char *label_of_64(void)
{
    begin("{'ssh':[{'Host':'gitea','Hostname':'");
    repeat("a", 64);
    return end(".example'}]}");
}

static char *alias_of_254(void)
{
    begin("{'ssh':[{'Hostname':'gitea.example','Host':'");
    repeat("a", 254);
    return end("'}]}");
}

static char *user_of_65(void)
{
    begin("{'ssh':[{'Host':'gitea','User':'");
    repeat("u", 65);
    return end("'}]}");
}

static char *identity_file_of_4096(void)
{
    begin("{'ssh':[{'Host':'gitea','IdentityFile':'/");
    repeat("i", 4095);
    return end("'}]}");
}

static char *key_name_of_10k(void)
{
    begin("{'ssh':[{'Host':'gitea','");
    repeat("K", 10 << 10);
    return end("':1}]}");
}

static char *entries_129(void)
{
    begin("{'ssh':[{'Host':'h'}");
    repeat(",{'Host':'h'}", PLAN_MAX_UPSTREAMS);
    return end("]}");
}

static char *bottle_of_10_mib(void)
{
    begin("{'other':'");
    repeat("0123456789abcdef", (10 << 20) / 16);
    return end("'}");
}

static char *nested_in_entry(void)
{
    begin("{'ssh':[{'Host':");
    repeat("[", 1000);
    repeat("]", 1000);
    return end("}]}");
}

/* 128 entries whose values are as long as they may be: more than a plan can hold. */
static char *plan_too_long(void)
{
    begin("{'ssh':[");
    for (int i = 0; i < PLAN_MAX_UPSTREAMS; i++) {
        fprintf(stream, "%s{'Host':'h%d','Port':%d,'KnownHostKey':'", i == 0 ? "" : ",", i,
                1000 + i);
        /* "x", and one field of 3000 zero bytes: 4 + 1 + 4 + 3000 = 3009 bytes */
        repeat("x AAAAAXgAAAu4", 1);
        repeat("AAAA", 1000);
        fputs("','IdentityFile':'", stream);
        repeat("i", 4094);
        fputs("'}", stream);
    }
    return end("]}");
}

/* --- bad bottles --- */

static const struct {
    const char *name;
    const char *text;
    char *(*make)(void);
    const char *says[4]; /* each must be in the message */
} bad[] = {
    /* the text */
    {"empty text", "", NULL, {"bottle:", "expected a JSON object"}},
    {"no JSON", "ssh", NULL, {"bottle:", "expected a JSON object"}},
    {"null", "null", NULL, {"bottle:", "expected a JSON object"}},
    {"an array", "[]", NULL, {"bottle:", "expected a JSON object"}},
    {"a string", "'gitea'", NULL, {"bottle:", "expected a JSON object"}},
    {"cut short",
     "{'ssh':[{'Host':'gitea','Port':",
     NULL,
     {"bottle.ssh[0].Port:", "the text ends"}},
    {"text after it", GITEA("") "{}", NULL, {"bottle:", "nothing after"}},
    {"a comment", "{'ssh':[/* none */]}", NULL, {"bottle.ssh[0]:", "expected a JSON value"}},
    {"a comma too many", "{'ssh':[{'Host':'gitea'},]}", NULL, {"bottle.ssh[1]:", "not \"]\""}},
    {"10 MiB", NULL, bottle_of_10_mib, {"bottle:", "longer than 1048576 bytes"}},
    {"nested deeply", NULL, nested_in_entry, {"bottle.ssh[0].Host[0]", "deeper than 16 levels"}},
    {"raw invalid UTF-8",
     HOSTNAME("'gitea\xff.example'"),
     NULL,
     {"bottle.ssh[0].Hostname:", "invalid UTF-8", "0xff"}},
    {"overlong UTF-8",
     HOSTNAME("'gitea\xc0\xae"
              "example'"),
     NULL,
     {"bottle.ssh[0].Hostname:", "invalid UTF-8", "0xc0"}},
    {"raw newline",
     HOSTNAME("'gitea\n.example'"),
     NULL,
     {"bottle.ssh[0].Hostname:", "control character 0x0a"}},
    {"NUL in a value",
     HOSTNAME("'gitea\\u0000.example'"),
     NULL,
     {"bottle.ssh[0].Hostname:", "\\u0000 (NUL)"}},
    {"NUL in a key", GITEA(",'User\\u0000':'git'"), NULL, {"bottle.ssh[0]:", "\\u0000 (NUL)"}},
    {"half a surrogate pair",
     GITEA(",'User':'\\ud83d'"),
     NULL,
     {"bottle.ssh[0].User:", "\\ud83d is half a surrogate pair"}},
    {"key twice in the bottle", "{'ssh':[],'ssh':[]}", NULL, {"bottle:", "\"ssh\" is there twice"}},
    {"key twice in an entry",
     GITEA(",'Port':22,'Port':23"),
     NULL,
     {"bottle.ssh[0]:", "\"Port\" is there twice", "remove one"}},
    {"key twice, once escaped",
     GITEA(",'Port':22,'\\u0050ort':23"),
     NULL,
     {"bottle.ssh[0]:", "\"Port\" is there twice"}},
    /* what is no bottle */
    {"a whole manifest",
     "{'bottles':{'web':{'ssh':[{'Host':'gitea'}]},'other':{}},'agents':{}}",
     NULL,
     {"bottle: it has the key \"bottles\", as a whole manifest has",
      "give the object of one bottle", "such as bottles.web"}},
    {"a manifest without bottles",
     "{'bottles':{}}",
     NULL,
     {"bottle: it has the key \"bottles\"", "give the object of one bottle"}},
    {"a manifest whose bottles are none",
     "{'bottles':null,'ssh':[]}",
     NULL,
     {"bottle: it has the key \"bottles\"", "give the object of one bottle"}},
    {"a manifest with a hostile name",
     "{'bottles':{'\\u001b[2J':{}}}",
     NULL,
     {"such as bottles.\\x1b[2J"}},
    {"an agent",
     "{'bottle':'web','skills':[],'prompt':''}",
     NULL,
     {"bottle: it has the key \"bottle\", \"web\", as an agent", "give the object of that bottle"}},
    {"a bottle in its name",
     "{'web':{'ssh':[{'Host':'gitea'}]}}",
     NULL,
     {"bottle: its only key, \"web\"", "give that object"}},
    {"an array of bottles", "[{'ssh':[]}]", NULL, {"bottle: line 1", "expected a JSON object"}},
    {"SSH",
     "{'SSH':[{'Host':'gitea'}]}",
     NULL,
     {"bottle: unknown key \"SSH\": did you mean \"ssh\"?"}},
    {"ssh and Ssh",
     "{'ssh':[],'Ssh':[{}]}",
     NULL,
     {"bottle: unknown key \"Ssh\": did you mean \"ssh\"?"}},
    /* ssh and its entries */
    {"ssh is an object",
     "{'ssh':{'Host':'gitea'}}",
     NULL,
     {"bottle.ssh is {\"Host\":\"gitea\"}", "must be an array"}},
    {"ssh is a string", "{'ssh':'gitea'}", NULL, {"bottle.ssh is \"gitea\"", "must be an array"}},
    {"ssh is a number", "{'ssh':22}", NULL, {"bottle.ssh is 22", "must be an array"}},
    {"ssh is true", "{'ssh':true}", NULL, {"bottle.ssh is true", "must be an array"}},
    {"ssh is false", "{'ssh':false}", NULL, {"bottle.ssh is false", "must be an array"}},
    {"an entry is a string",
     "{'ssh':['gitea']}",
     NULL,
     {"bottle.ssh[0] is \"gitea\"", "must be an object"}},
    {"an entry is null",
     "{'ssh':[{'Host':'a'},null]}",
     NULL,
     {"bottle.ssh[1] is null", "must be an object"}},
    {"an entry is an array", "{'ssh':[[]]}", NULL, {"bottle.ssh[0] is []", "must be an object"}},
    {"129 entries", NULL, entries_129, {"bottle.ssh has 129 entries", "at most 128"}},
    /* keys */
    {"unknown key",
     GITEA(",'Hostkey':'x'"),
     NULL,
     {"bottle.ssh[0] \"gitea\"", "unknown key \"Hostkey\"",
      "Host, Hostname, User, Port, IdentityFile, KnownHostKey"}},
    {"key in lower case",
     GITEA(",'port':22"),
     NULL,
     {"bottle.ssh[0] \"gitea\"", "unknown key \"port\"", "did you mean \"Port\"?"}},
    {"HostName",
     "{'ssh':[{'Host':'gitea','HostName':'gitea.example'}]}",
     NULL,
     {"bottle.ssh[0] \"gitea\"", "unknown key \"HostName\"", "did you mean \"Hostname\"?"}},
    {"empty key", GITEA(",'':22"), NULL, {"bottle.ssh[0] \"gitea\"", "unknown key \"\""}},
    {"key with an escape sequence",
     GITEA(",'\\u001b[2J':22"),
     NULL,
     {"bottle.ssh[0] \"gitea\"", "unknown key \"\\x1b[2J\""}},
    {"key of 10 KiB",
     NULL,
     key_name_of_10k,
     {"bottle.ssh[0] \"gitea\"", "unknown key \"KKKK", "…\": the keys are Host"}},
    {"unknown key in the second entry",
     "{'ssh':[{'Host':'a'},{'Host':'b','Ports':1}]}",
     NULL,
     {"bottle.ssh[1] \"b\"", "unknown key \"Ports\""}},
    /* Host */
    {"no Host", "{'ssh':[{}]}", NULL, {"bottle.ssh[0]: Host is missing"}},
    {"no Host but Hostname",
     "{'ssh':[{'Hostname':'gitea.example'}]}",
     NULL,
     {"bottle.ssh[0]: Host is missing"}},
    {"Host is null", HOST("null"), NULL, {"bottle.ssh[0]: Host is missing"}},
    {"Host is empty", HOST("''"), NULL, {"bottle.ssh[0]: Host is missing"}},
    {"Host is a number", HOST("22"), NULL, {"bottle.ssh[0]: Host 22 must be a string"}},
    {"Host is an object",
     HOST("{'a':1}"),
     NULL,
     {"bottle.ssh[0]: Host {\"a\":1} must be a string"}},
    {"Host with a space", HOST("'a b'"), NULL, {"bottle.ssh[0] \"a b\": Host \"a b\" must be"}},
    {"Host is a pattern", HOST("'*'"), NULL, {"bottle.ssh[0] \"*\": Host \"*\" must be"}},
    {"Host is a negated pattern", HOST("'!a'"), NULL, {"ssh[0] \"!a\": Host \"!a\" must be"}},
    {"Host with a comma", HOST("'a,b'"), NULL, {"bottle.ssh[0] \"a,b\": Host", "must be"}},
    {"Host with a newline",
     HOST("'a\\nHost b'"),
     NULL,
     {"bottle.ssh[0] \"a\\x0aHost b\": Host \"a\\nHost b\" must be"}},
    {"Host with a quote", HOST("'a\\\"b'"), NULL, {"bottle.ssh[0]", "Host \"a\\\"b\" must be"}},
    {"Host with a leading -",
     HOST("'-oProxyCommand=x'"),
     NULL,
     {"bottle.ssh[0] \"-oProxyCommand=x\": Host", "must be"}},
    {"Host with a leading .", HOST("'.a'"), NULL, {"bottle.ssh[0] \".a\": Host", "must be"}},
    {"Host with a trailing .", HOST("'a.'"), NULL, {"bottle.ssh[0] \"a.\": Host", "must be"}},
    {"Host is a path", HOST("'../a'"), NULL, {"bottle.ssh[0] \"../a\": Host", "must be"}},
    {"Host with a letter that is not ASCII",
     HOST("'caf\xc3\xa9'"),
     NULL,
     {"bottle.ssh[0] \"caf\xc3\xa9\": Host", "must be"}},
    {"Host of 254 characters", NULL, alias_of_254, {"bottle.ssh[0] \"aaaa", "…\": Host \"aaaa"}},
    {"Host cannot stand for Hostname",
     "{'ssh':[{'Host':'127.1'}]}",
     NULL,
     {"bottle.ssh[0] \"127.1\": Host \"127.1\"", "missing Hostname", "give a Hostname"}},
    {"Host cannot stand for an empty Hostname",
     "{'ssh':[{'Host':'a..b','Hostname':''}]}",
     NULL,
     {"bottle.ssh[0] \"a..b\": Host \"a..b\"", "missing Hostname"}},
    /* Hostname */
    {"Hostname is a number",
     HOSTNAME("22"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Hostname 22 must be a string"}},
    {"Hostname is an array",
     HOSTNAME("['a']"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Hostname [\"a\"] must be a string"}},
    {"Hostname with a quote",
     HOSTNAME("'a\\u0027b'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Hostname \"a'b\" must be a DNS name"}},
    {"Hostname with a double quote",
     HOSTNAME("'a\\\"b'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Hostname \"a\\\"b\" must be a DNS name"}},
    {"Hostname with a newline",
     HOSTNAME("'a\\nb'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Hostname \"a\\nb\" must be"}},
    {"Hostname with a newline at its end",
     HOSTNAME("'gitea.example\\n'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Hostname", "must be"}},
    {"Hostname with $()",
     HOSTNAME("'$(reboot)'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Hostname \"$(reboot)\" must be"}},
    {"Hostname with a backquote",
     HOSTNAME("'`reboot`'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Hostname", "must be"}},
    {"Hostname with a semicolon",
     HOSTNAME("'a;reboot'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Hostname", "must be"}},
    {"Hostname with a space",
     HOSTNAME("'a b'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Hostname \"a b\" must be"}},
    {"Hostname with a space before it",
     HOSTNAME("' a'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Hostname \" a\" must be"}},
    {"Hostname with a leading -",
     HOSTNAME("'-oProxyCommand=x'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Hostname", "must be"}},
    {"Hostname with a label that begins with -",
     HOSTNAME("'a.-b'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Hostname", "must be"}},
    {"Hostname with a label that ends with -",
     HOSTNAME("'a-.b'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Hostname", "must be"}},
    {"Hostname with a trailing dot",
     HOSTNAME("'gitea.example.'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Hostname \"gitea.example.\"", "no dot at the end"}},
    {"Hostname with an empty label",
     HOSTNAME("'gitea..example'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Hostname", "must be"}},
    {"Hostname is a dot",
     HOSTNAME("'.'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Hostname \".\" must be"}},
    {"Hostname of 254 characters",
     NULL,
     hostname_of_254,
     {"bottle.ssh[0] \"gitea\": Hostname \"abcdefghi.", "253 characters at most"}},
    {"Hostname of 300 characters",
     NULL,
     hostname_of_300,
     {"bottle.ssh[0] \"gitea\": Hostname \"abcdefghi.", "253 characters at most"}},
    {"Hostname of 64 KiB",
     NULL,
     hostname_of_64k,
     {"bottle.ssh[0] \"gitea\": Hostname \"aaaa", "253 characters at most"}},
    {"Hostname of 64 KiB of quotes",
     NULL,
     hostname_of_64k_quotes,
     {"bottle.ssh[0] \"gitea\": Hostname \"''''", "253 characters at most"}},
    {"Hostname with a label of 64",
     NULL,
     label_of_64,
     {"bottle.ssh[0] \"gitea\": Hostname \"aaaa", "must be"}},
    {"Hostname is a path",
     HOSTNAME("'../../etc/passwd'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Hostname", "must be"}},
    {"Hostname with a port",
     HOSTNAME("'gitea.example:22'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Hostname", "must be"}},
    {"Hostname with a user",
     HOSTNAME("'git@gitea.example'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Hostname", "must be"}},
    {"Hostname with socat options",
     HOSTNAME("'gitea.example,bind=x'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Hostname", "must be"}},
    {"Hostname with %h",
     HOSTNAME("'%h.example'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Hostname", "must be"}},
    {"Hostname with a letter that is not ASCII",
     HOSTNAME("'caf\xc3\xa9.example'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Hostname \"caf\xc3\xa9.example\" must be"}},
    {"Hostname is a short IPv4 address",
     HOSTNAME("'127.1'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Hostname \"127.1\"", "last label no number"}},
    {"Hostname is a decimal IPv4 address",
     HOSTNAME("'2130706433'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Hostname", "last label no number"}},
    {"Hostname is a hexadecimal IPv4 address",
     HOSTNAME("'0x7f000001'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Hostname", "last label no number"}},
    {"Hostname ends in a hexadecimal label",
     HOSTNAME("'127.0.0.0X1'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Hostname", "last label no number"}},
    {"Hostname with octal parts",
     HOSTNAME("'0177.0.0.01'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Hostname", "last label no number"}},
    {"Hostname with a part above 255",
     HOSTNAME("'127.0.0.256'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Hostname", "last label no number"}},
    {"Hostname with five parts",
     HOSTNAME("'127.0.0.0.1'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Hostname", "last label no number"}},
    {"Hostname with a zone",
     HOSTNAME("'fe80::1%eth0'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Hostname", "must be"}},
    {"Hostname with half a bracket",
     HOSTNAME("'[::1'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Hostname", "must be"}},
    {"Hostname with two brackets",
     HOSTNAME("'[[::1]]'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Hostname", "must be"}},
    {"Hostname is empty brackets",
     HOSTNAME("'[]'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Hostname", "must be"}},
    {"Hostname is IPv4 in brackets",
     HOSTNAME("'[127.0.0.1]'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Hostname", "must be"}},
    {"Hostname is a name in brackets",
     HOSTNAME("'[gitea.example]'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Hostname", "must be"}},
    {"Hostname is IPv6 with two ::",
     HOSTNAME("'::1::'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Hostname", "must be"}},
    /* Port */
    {"Port 0",
     GITEA(",'Port':0"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Port 0 must be", "1 to 65535", "left out for 22"}},
    {"Port -1", GITEA(",'Port':-1"), NULL, {"bottle.ssh[0] \"gitea\": Port -1 must be"}},
    {"Port 65536", GITEA(",'Port':65536"), NULL, {"bottle.ssh[0] \"gitea\": Port 65536 must be"}},
    {"Port 2^32 + 22",
     GITEA(",'Port':4294967318"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Port 4294967318 must be"}},
    {"Port 2^64",
     GITEA(",'Port':18446744073709551616"),
     NULL,
     {"bottle.ssh[0].Port:", "18446744073709551616 does not fit"}},
    {"Port 22.5", GITEA(",'Port':22.5"), NULL, {"bottle.ssh[0] \"gitea\": Port 22.5 must be"}},
    {"Port 22.0",
     GITEA(",'Port':22.0"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Port 22.0 must be written without a fraction or an exponent: 22, "
      "or be left out"}},
    {"Port 1e2",
     GITEA(",'Port':1e2"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Port 1e2 must be written without a fraction or an exponent: 100"}},
    {"Port true", GITEA(",'Port':true"), NULL, {"bottle.ssh[0] \"gitea\": Port true must be"}},
    {"Port false", GITEA(",'Port':false"), NULL, {"bottle.ssh[0] \"gitea\": Port false must be"}},
    {"Port is an array",
     GITEA(",'Port':[22]"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Port [22] must be"}},
    {"Port is an object", GITEA(",'Port':{}"), NULL, {"bottle.ssh[0] \"gitea\": Port {} must be"}},
    {"Port 022", GITEA(",'Port':022"), NULL, {"bottle.ssh[0].Port:", "must not begin with 0"}},
    {"Port +22", GITEA(",'Port':+22"), NULL, {"bottle.ssh[0].Port:", "expected a JSON value"}},
    {"Port NaN", GITEA(",'Port':NaN"), NULL, {"bottle.ssh[0].Port:", "expected a JSON value"}},
    {"Port \"0\"", GITEA(",'Port':'0'"), NULL, {"bottle.ssh[0] \"gitea\": Port \"0\" must be"}},
    {"Port \"22x\"",
     GITEA(",'Port':'22x'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Port \"22x\" must be"}},
    {"Port \"22 \"",
     GITEA(",'Port':'22 '"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Port \"22 \" must be"}},
    {"Port \" 22\"",
     GITEA(",'Port':' 22'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Port \" 22\" must be"}},
    {"Port \" \"", GITEA(",'Port':' '"), NULL, {"bottle.ssh[0] \"gitea\": Port \" \" must be"}},
    {"Port \"+22\"",
     GITEA(",'Port':'+22'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Port \"+22\" must be"}},
    {"Port \"-22\"",
     GITEA(",'Port':'-22'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Port \"-22\" must be"}},
    {"Port \"022\"",
     GITEA(",'Port':'022'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Port \"022\" must be"}},
    {"Port \"0x16\"",
     GITEA(",'Port':'0x16'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Port \"0x16\" must be"}},
    {"Port \"22.0\"",
     GITEA(",'Port':'22.0'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Port \"22.0\" must be a whole number", "in digits alone"}},
    {"Port \"65536\"",
     GITEA(",'Port':'65536'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Port \"65536\" must be"}},
    {"Port \"99999\"",
     GITEA(",'Port':'99999'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Port \"99999\" must be"}},
    {"Port \"18446744073709551638\"",
     GITEA(",'Port':'18446744073709551638'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Port \"18446744073709551638\" must be"}},
    {"Port \"22\\n\"",
     GITEA(",'Port':'22\\n'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Port \"22\\n\" must be"}},
    {"Port \"ssh\"",
     GITEA(",'Port':'ssh'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Port \"ssh\" must be"}},
    {"Port in digits that are not ASCII",
     GITEA(",'Port':'\xd9\xa2\xd9\xa2'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": Port", "must be"}},
    {"two entries with one Port",
     "{'ssh':[{'Host':'a','Port':30009},{'Host':'b'},{'Host':'c','Port':'30009'}]}",
     NULL,
     {"bottle.ssh[0] \"a\"", "bottle.ssh[2] \"c\"", "Port 30009", "a Port of its own"}},
    {"two entries with the default Port",
     "{'ssh':[{'Host':'a'},{'Host':'b','Port':''}]}",
     NULL,
     {"bottle.ssh[0] \"a\"", "bottle.ssh[1] \"b\"", "Port 22,", "a Port of its own"}},
    {"the default Port and 22",
     "{'ssh':[{'Host':'a','Port':null},{'Host':'b','Port':22}]}",
     NULL,
     {"bottle.ssh[0] \"a\"", "bottle.ssh[1] \"b\"", "Port 22,"}},
    {"the same entry twice",
     "{'ssh':[{'Host':'a'},{'Host':'a'}]}",
     NULL,
     {"bottle.ssh[0] \"a\"", "bottle.ssh[1] \"a\"", "Port 22,"}},
    /* User */
    {"User is a number",
     GITEA(",'User':0"),
     NULL,
     {"bottle.ssh[0] \"gitea\": User 0 must be a string"}},
    {"User with a space",
     GITEA(",'User':'git git'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": User \"git git\" must be"}},
    {"User with a leading -",
     GITEA(",'User':'-l'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": User \"-l\" must be"}},
    {"User with a newline",
     GITEA(",'User':'git\\nProxyCommand x'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": User \"git\\nProxyCommand x\" must be"}},
    {"User with a quote",
     GITEA(",'User':'git\\\"'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": User \"git\\\"\" must be"}},
    {"User of 65 characters",
     NULL,
     user_of_65,
     {"bottle.ssh[0] \"gitea\": User \"uuuu", "1 to 64"}},
    /* IdentityFile */
    {"IdentityFile is an object",
     GITEA(",'IdentityFile':{}"),
     NULL,
     {"bottle.ssh[0] \"gitea\": IdentityFile {} must be a string"}},
    {"IdentityFile with a quote",
     GITEA(",'IdentityFile':'/a\\\"b'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": IdentityFile \"/a\\\"b\" must be a path"}},
    {"IdentityFile with a newline",
     GITEA(",'IdentityFile':'/a\\nProxyCommand x'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": IdentityFile", "must be a path"}},
    {"IdentityFile with $",
     GITEA(",'IdentityFile':'${HOME}/key'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": IdentityFile \"${HOME}/key\" must be a path"}},
    {"IdentityFile with %",
     GITEA(",'IdentityFile':'%d/key'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": IdentityFile", "must be a path"}},
    {"IdentityFile with a backslash",
     GITEA(",'IdentityFile':'a\\\\b'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": IdentityFile", "must be a path"}},
    {"IdentityFile with #",
     GITEA(",'IdentityFile':'a #b'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": IdentityFile", "must be a path"}},
    {"IdentityFile with ..",
     GITEA(",'IdentityFile':'~/.ssh/../key'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": IdentityFile", "must be a path"}},
    {"IdentityFile is ..",
     GITEA(",'IdentityFile':'..'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": IdentityFile", "must be a path"}},
    {"IdentityFile with a leading -",
     GITEA(",'IdentityFile':'-key'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": IdentityFile", "must be a path"}},
    {"IdentityFile with DEL",
     GITEA(",'IdentityFile':'/a\\u007f'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": IdentityFile", "\\x7f", "must be a path"}},
    {"IdentityFile with U+0085",
     GITEA(",'IdentityFile':'/a\\u0085'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": IdentityFile", "\\xc2\\x85", "must be a path"}},
    {"IdentityFile of 4096 bytes",
     NULL,
     identity_file_of_4096,
     {"bottle.ssh[0] \"gitea\": IdentityFile \"/iii", "fewer than 4096 bytes"}},
    /* KnownHostKey */
    {"KnownHostKey is true",
     GITEA(",'KnownHostKey':true"),
     NULL,
     {"bottle.ssh[0] \"gitea\": KnownHostKey true must be a string"}},
    {"KnownHostKey without type",
     GITEA(",'KnownHostKey':'AAAAC3NzaC1lZDI1NTE5'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": KnownHostKey", "must be a whole public key"}},
    {"KnownHostKey without key",
     GITEA(",'KnownHostKey':'ssh-ed25519'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": KnownHostKey", "must be a whole public key"}},
    {"KnownHostKey with a space only",
     GITEA(",'KnownHostKey':'ssh-ed25519 '"),
     NULL,
     {"bottle.ssh[0] \"gitea\": KnownHostKey", "must be a whole public key"}},
    {"KnownHostKey with the host before it",
     GITEA(",'KnownHostKey':'gitea " ED25519 "'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": KnownHostKey", "must be a whole public key"}},
    {"KnownHostKey of another type than it says",
     GITEA(",'KnownHostKey':'ssh-rsa "
           "AAAAC3NzaC1lZDI1NTE5AAAAIO5oVek6oac/sbglPnUQ4lVic4fw5B60k3AjwivJB"
           "BB6'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": KnownHostKey \"ssh-rsa", "must be a whole public key"}},
    {"KnownHostKey of another type of the same length",
     GITEA(",'KnownHostKey':'ssh-ed25518 "
           "AAAAC3NzaC1lZDI1NTE5AAAAIO5oVek6oac/sbglPnUQ4lVic4fw5B60k3Ajw"
           "ivJBBB6'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": KnownHostKey \"ssh-ed25518", "must be a whole public key"}},
    {"KnownHostKey with nothing in its second field",
     GITEA(",'KnownHostKey':'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAAA=='"),
     NULL,
     {"bottle.ssh[0] \"gitea\": KnownHostKey", "must be a whole public key"}},
    {"KnownHostKey that was cut",
     GITEA(",'KnownHostKey':'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO5oVek6oac/sbglPnUQ4lVi'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": KnownHostKey", "must be a whole public key"}},
    {"KnownHostKey that is a type only",
     GITEA(",'KnownHostKey':'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": KnownHostKey", "must be a whole public key"}},
    {"KnownHostKey with more after it",
     GITEA(",'KnownHostKey':'" ED25519 "AAAA'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": KnownHostKey", "must be a whole public key"}},
    {"KnownHostKey with a character that is not base64",
     GITEA(",'KnownHostKey':'ssh-ed25519 "
           "AAAAC3NzaC1lZDI1NTE5AAAAIO5oVek6oac_sbglPnUQ4lVic4fw5B60k3Ajw"
           "ivJBBB6'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": KnownHostKey", "must be a whole public key"}},
    {"KnownHostKey without its padding",
     GITEA(
         ",'KnownHostKey':'ecdsa-sha2-nistp256 "
         "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBB"
         "DabimkKnkxjPN1sR32gv/1SGrlNEoK4BJLchU6qWPb1RvyrrJ8B6asAO3lpXzAF4wMXW0utbENbNDP81v0kneM'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": KnownHostKey", "must be a whole public key"}},
    {"KnownHostKey with a bit set in its padding",
     GITEA(",'KnownHostKey':'ecdsa-sha2-nistp256 "
           "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBB"
           "DabimkKnkxjPN1sR32gv/"
           "1SGrlNEoK4BJLchU6qWPb1RvyrrJ8B6asAO3lpXzAF4wMXW0utbENbNDP81v0kneN='"),
     NULL,
     {"bottle.ssh[0] \"gitea\": KnownHostKey", "must be a whole public key"}},
    {"KnownHostKey with a second line",
     GITEA(",'KnownHostKey':'" ED25519 "\\n* " ED25519 "'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": KnownHostKey", "must be a whole public key"}},
    {"KnownHostKey with a newline in its comment",
     GITEA(",'KnownHostKey':'" ED25519 " a\\nb'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": KnownHostKey", "must be a whole public key"}},
    {"KnownHostKey with a tab",
     GITEA(",'KnownHostKey':'ssh-ed25519\\tAAAA'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": KnownHostKey", "must be a whole public key"}},
    {"KnownHostKey with a marker",
     GITEA(",'KnownHostKey':'@revoked " ED25519 "'"),
     NULL,
     {"bottle.ssh[0] \"gitea\": KnownHostKey", "must be a whole public key"}},
    /* the plan */
    {"more than a plan holds", NULL, plan_too_long, {"bottle.ssh: the plan would have"}},
};

static void expect_refused(const char *name, const char *json, const char *slug,
                           const char *const *says, size_t count)
{
    struct failure failure = {""};
    char *plan = stage; /* any value but NULL */

    cr_expect_eq(gate_prepare(json, slug, stage, &plan, &failure), BOTTLE_INVALID, "%s", name);
    cr_expect_null(plan, "%s", name);
    for (size_t i = 0; i < count && says[i] != NULL; i++)
        cr_expect_not_null(strstr(failure.message, says[i]), "%s: \"%s\" does not say \"%s\"", name,
                           failure.message, says[i]);
    cr_expect(text_is_printable(failure.message, strlen(failure.message)), "%s: %s", name,
              failure.message);
    cr_expect_eq(directory_count(stage), 0, "%s: nothing may be written", name);
}

Test(manifest, bad_bottles_are_refused)
{
    for (size_t i = 0; i < ROWS(bad); i++) {
        CLEANUP_FREE char *text = bad[i].make == NULL ? strdup(bad[i].text) : bad[i].make();
        CLEANUP_FREE char *json = json_of(text);
        cr_assert_not_null(bad[i].says[0]);
        expect_refused(bad[i].name, json, "web", bad[i].says, ROWS(bad[i].says));
    }
    cr_log_info("%zu bad bottles", ROWS(bad));
}

Test(manifest, no_bottle_is_refused)
{
    const char *const says[] = {"bottle: no text given"};

    expect_refused("NULL", NULL, "web", says, 1);
}

Test(manifest, bad_slugs_are_refused)
{
    static const char *const slugs[] = {
        NULL,    "",     "-a",          "A",
        "a_b",   "a.b",  "a b",         "a/b",
        "../a",  "a\n",  "a;b",         "$a",
        "a\xc3", "\xff", "caf\xc3\xa9", "a1234567890123456789012345678901234567890"};
    const char *const says[] = {"slug \"", "must be 1 to 40 lower-case letters"};

    for (size_t i = 0; i < ROWS(slugs); i++)
        expect_refused(slugs[i] == NULL ? "NULL" : slugs[i], "{}", slugs[i], says, 2);
}

/* An error leaves the files of an earlier prepare as they are. */
Test(manifest, a_bad_bottle_leaves_earlier_files)
{
    static const char *const names[] = {ENTRYPOINT_FILE, SSH_CONFIG_FILE, KNOWN_HOSTS_FILE,
                                        STAGE_CLAIM_FILE};
    CLEANUP_FREE char *json = json_of(GITEA(",'Port':30009"));
    CLEANUP_FREE char *plan = NULL;
    struct stat before[ROWS(names)];
    char path[128];
    struct failure failure;

    cr_assert_eq(gate_prepare(json, "web", stage, &plan, &failure), BOTTLE_OK);
    for (size_t i = 0; i < ROWS(names); i++) {
        snprintf(path, sizeof path, "%s/%s", stage, names[i]);
        cr_assert_eq(lstat(path, &before[i]), 0);
    }
    for (size_t i = 0; i < ROWS(bad); i++) {
        CLEANUP_FREE char *text = bad[i].make == NULL ? strdup(bad[i].text) : bad[i].make();
        CLEANUP_FREE char *bad_json = json_of(text);
        char *no_plan;
        cr_expect_eq(gate_prepare(bad_json, "web", stage, &no_plan, &failure), BOTTLE_INVALID);
    }
    for (size_t i = 0; i < ROWS(names); i++) {
        struct stat after;
        snprintf(path, sizeof path, "%s/%s", stage, names[i]);
        cr_assert_eq(lstat(path, &after), 0);
        cr_expect_eq(after.st_ino, before[i].st_ino);
        cr_expect_eq(after.st_mtim.tv_nsec, before[i].st_mtim.tv_nsec);
    }
    cr_expect_eq(directory_count(stage), ROWS(names));
    remove_files();
}

/* --- good bottles --- */

#define LONG_NAME                                                                                  \
    "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabc."                             \
    "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabc."                             \
    "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabc."                             \
    "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghija" /* 253 characters */

struct expected {
    const char *alias;
    const char *host;
    uint16_t port;
    const char *user;
    const char *identity_file;
    const char *known_host_key;
};

static const struct {
    const char *text;
    size_t count;
    struct expected upstreams[3];
} good[] = {
    {"{}", 0, {{0}}},
    {"{'ssh':null}", 0, {{0}}},
    {"{'ssh':[]}", 0, {{0}}},
    {"{'egress':{'Allow':['a']},'git':true,'SSH':1}", 0, {{0}}},
    {"{'Ssh':['a'],'bottle':{'of':'wine'},'agents':{},'web':{'ssh':[]}}", 0, {{0}}},
    {"{'bottle':'web','ssh':[]}", 0, {{0}}},
    {"{'egress':{'ssh':null}}", 0, {{0}}},
    {"{'ssh':[{'Host':'github.com'}]}", 1, {{"github.com", "github.com", 22, "", NULL, NULL}}},
    {"{'ssh':[{'Host':'GitHub.com'}]}", 1, {{"GitHub.com", "github.com", 22, "", NULL, NULL}}},
    {"{'ssh':[{'Host':'github.com','Hostname':null,'User':null,'Port':null,'IdentityFile':null,"
     "'KnownHostKey':null}]}",
     1,
     {{"github.com", "github.com", 22, "", NULL, NULL}}},
    {"{'ssh':[{'Host':'github.com','Hostname':'','User':'','Port':'','IdentityFile':'',"
     "'KnownHostKey':''}]}",
     1,
     {{"github.com", "github.com", 22, "", NULL, NULL}}},
    {"{'ssh':[{'Host':'gitea','Hostname':'Gitea.Example','User':'git','Port':30009,"
     "'IdentityFile':'~/.ssh/id_ed25519','KnownHostKey':'" ED25519 "'}]}",
     1,
     {{"gitea", "gitea.example", 30009, "git", "~/.ssh/id_ed25519", ED25519}}},
    {"{'ssh':[{'Host':'c','Port':'30009'},{'Host':'a','Port':1},{'Host':'b','Port':65535}]}",
     3,
     {{"c", "c", 30009, "", NULL, NULL},
      {"a", "a", 1, "", NULL, NULL},
      {"b", "b", 65535, "", NULL, NULL}}},
    {"{'ssh':[{'Host':'a','Port':'1'},{'Host':'b','Port':'65535'}]}",
     2,
     {{"a", "a", 1, "", NULL, NULL}, {"b", "b", 65535, "", NULL, NULL}}},
    {"{'ssh':[{'Host':'a','Hostname':'git.example','Port':22},"
     "{'Host':'b','Hostname':'git.example','Port':2222}]}",
     2,
     {{"a", "git.example", 22, "", NULL, NULL}, {"b", "git.example", 2222, "", NULL, NULL}}},
    {HOSTNAME("'127.0.0.1'"), 1, {{"gitea", "127.0.0.1", 22, "", NULL, NULL}}},
    {HOSTNAME("'255.255.255.255'"), 1, {{"gitea", "255.255.255.255", 22, "", NULL, NULL}}},
    {HOSTNAME("'::1'"), 1, {{"gitea", "::1", 22, "", NULL, NULL}}},
    {HOSTNAME("'[::1]'"), 1, {{"gitea", "::1", 22, "", NULL, NULL}}},
    {HOSTNAME("'[2001:DB8::A]'"), 1, {{"gitea", "2001:db8::a", 22, "", NULL, NULL}}},
    {HOSTNAME("'::FFFF:127.0.0.1'"), 1, {{"gitea", "::ffff:127.0.0.1", 22, "", NULL, NULL}}},
    {HOSTNAME("'localhost'"), 1, {{"gitea", "localhost", 22, "", NULL, NULL}}},
    {HOSTNAME("'xn--bcher-kva.example'"),
     1,
     {{"gitea", "xn--bcher-kva.example", 22, "", NULL, NULL}}},
    {HOSTNAME("'_ssh.1-2.3.e4'"), 1, {{"gitea", "_ssh.1-2.3.e4", 22, "", NULL, NULL}}},
    {HOSTNAME("'0x1.example'"), 1, {{"gitea", "0x1.example", 22, "", NULL, NULL}}},
    {HOSTNAME("'1e2'"), 1, {{"gitea", "1e2", 22, "", NULL, NULL}}},
    {HOSTNAME("'" LONG_NAME "'"), 1, {{"gitea", LONG_NAME, 22, "", NULL, NULL}}},
    {HOST("'" LONG_NAME "'"), 1, {{LONG_NAME, "gitea.example", 22, "", NULL, NULL}}},
    {HOST("'127.0.0.1'"), 1, {{"127.0.0.1", "gitea.example", 22, "", NULL, NULL}}},
    {HOST("'::1'"), 1, {{"::1", "gitea.example", 22, "", NULL, NULL}}},
    {HOST("'127.1'"), 1, {{"127.1", "gitea.example", 22, "", NULL, NULL}}},
    {HOST("'_A..-b'"), 1, {{"_A..-b", "gitea.example", 22, "", NULL, NULL}}},
    {GITEA(",'User':'first.last+tag@example_1-x'"),
     1,
     {{"gitea", "gitea.example", 22, "first.last+tag@example_1-x", NULL, NULL}}},
    {GITEA(",'IdentityFile':'/a b/...c/caf\xc3\xa9'"),
     1,
     {{"gitea", "gitea.example", 22, "", "/a b/...c/caf\xc3\xa9", NULL}}},
    {GITEA(",'KnownHostKey':'" ED25519 " root@gitea, made \xe2\x82\xac'"),
     1,
     {{"gitea", "gitea.example", 22, "", NULL, ED25519}}},
    {GITEA(",'KnownHostKey':'" ED25519 " '"),
     1,
     {{"gitea", "gitea.example", 22, "", NULL, ED25519}}},
    {GITEA(",'KnownHostKey':'" ECDSA "'"), 1, {{"gitea", "gitea.example", 22, "", NULL, ECDSA}}},
};

static void expect_text(const char *text, const char *expected)
{
    cr_expect((text == NULL) == (expected == NULL));
    if (text != NULL && expected != NULL)
        cr_expect_str_eq(text, expected);
}

static void expect_upstream(const struct upstream *upstream, const struct expected *expected)
{
    expect_text(upstream->alias, expected->alias);
    expect_text(upstream->host, expected->host);
    cr_expect_eq(upstream->listen_port, expected->port);
    cr_expect_eq(upstream->port, expected->port);
    expect_text(upstream->user, expected->user);
    expect_text(upstream->identity_file, expected->identity_file);
    expect_text(upstream->known_host_key, expected->known_host_key);
}

Test(manifest, good_bottles_become_upstreams)
{
    for (size_t i = 0; i < ROWS(good); i++) {
        CLEANUP_FREE char *json = json_of(good[i].text);
        CLEANUP_FREE char *text = NULL;
        CLEANUP_PLAN struct plan plan = {0};
        struct failure failure = {""};
        cr_assert_eq(gate_prepare(json, "web", stage, &text, &failure), BOTTLE_OK, "%s: %s", json,
                     failure.message);
        cr_assert_eq(plan_from_json(text, &plan, &failure), BOTTLE_OK, "%s: %s", json,
                     failure.message);
        cr_expect_str_eq(plan.slug, "web");
        cr_expect_str_eq(plan.stage_dir, stage);
        cr_expect_str_eq(plan.internal_network, "");
        cr_expect_str_eq(plan.egress_network, "");
        cr_assert_eq(plan.upstream_count, good[i].count, "%s", json);
        for (size_t j = 0; j < good[i].count; j++)
            expect_upstream(&plan.upstreams[j], &good[i].upstreams[j]);
        cr_expect_eq(directory_count(stage), 4);
        remove_files();
    }
}

Test(manifest, as_many_entries_as_there_may_be)
{
    CLEANUP_FREE char *text = NULL;
    CLEANUP_PLAN struct plan plan = {0};
    struct failure failure = {""};

    begin("{'ssh':[");
    for (int i = 0; i < PLAN_MAX_UPSTREAMS; i++)
        fprintf(stream, "%s{'Host':'h%d','Port':%d}", i == 0 ? "" : ",", i, 1000 + i);
    CLEANUP_FREE char *quoted = end("]}");
    CLEANUP_FREE char *json = json_of(quoted);
    cr_assert_eq(gate_prepare(json, "web", stage, &text, &failure), BOTTLE_OK, "%s",
                 failure.message);
    cr_assert_eq(plan_from_json(text, &plan, &failure), BOTTLE_OK, "%s", failure.message);
    cr_expect_eq(plan.upstream_count, PLAN_MAX_UPSTREAMS);
    cr_expect_str_eq(plan.upstreams[PLAN_MAX_UPSTREAMS - 1].alias, "h127");
    remove_files();
}

Test(manifest, slugs_of_every_length)
{
    static const char *const slugs[] = {"a", "0", "a-", "web-2",
                                        "a123456789012345678901234567890123456789"};

    for (size_t i = 0; i < ROWS(slugs); i++) {
        CLEANUP_FREE char *text = NULL;
        CLEANUP_PLAN struct plan plan = {0};
        struct failure failure = {""};
        cr_assert_eq(gate_prepare("{}", slugs[i], stage, &text, &failure), BOTTLE_OK, "%s",
                     failure.message);
        cr_assert_eq(plan_from_json(text, &plan, &failure), BOTTLE_OK, "%s", failure.message);
        cr_expect_str_eq(plan.slug, slugs[i]);
        remove_files();
    }
}

Test(manifest, the_files_have_their_modes_and_the_plan_their_paths)
{
    static const struct {
        const char *key;
        const char *name;
        mode_t mode; /* 0: prepare does not make it */
    } files[] = {{"entrypoint_script", "ssh_gate_entrypoint.sh", 0600},
                 {"ssh_config", "ssh_config", 0644},
                 {"known_hosts", "known_hosts", 0644},
                 {"event_log", "ssh_gate_events.jsonl", 0}};
    CLEANUP_FREE char *json = json_of(GITEA(",'Port':30009"));
    CLEANUP_FREE char *text = NULL;
    struct failure failure = {""};
    mode_t before = umask(0);

    cr_assert_eq(gate_prepare(json, "web", stage, &text, &failure), BOTTLE_OK, "%s",
                 failure.message);
    umask(before);
    CLEANUP_JSON json_object *plan = json_tokener_parse(text);
    cr_assert_not_null(plan);
    for (size_t i = 0; i < ROWS(files); i++) {
        char path[128];
        struct stat file;
        snprintf(path, sizeof path, "%s/%s", stage, files[i].name);
        cr_expect_str_eq(json_object_get_string(json_object_object_get(plan, files[i].key)), path);
        if (files[i].mode == 0) {
            cr_expect_neq(lstat(path, &file), 0);
            continue;
        }
        cr_assert_eq(lstat(path, &file), 0, "%s", path);
        cr_expect_eq(file.st_mode, S_IFREG | files[i].mode, "%s: %o", path, (unsigned)file.st_mode);
    }
    remove_files();
}

static void write_file(const char *name, const char *text)
{
    char path[128];

    (void)snprintf(path, sizeof path, "%s/%s", stage, name);
    FILE *file = fopen(path, "we");
    cr_assert_not_null(file);
    cr_assert_geq(fputs(text, file), 0);
    cr_assert_eq(fclose(file), 0);
}

static void expect_file(const char *name, const char *expected)
{
    char path[128], text[256];

    (void)snprintf(path, sizeof path, "%s/%s", stage, name);
    FILE *file = fopen(path, "re");
    cr_assert_not_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    cr_assert_eq(fclose(file), 0);
    cr_expect_str_eq(text, expected);
}

/* The gate that runs with this stage dir is to be taken over from. */
Test(manifest, what_an_agent_uses_is_left_as_it_is)
{
    CLEANUP_FREE char *json = json_of(GITEA(",'Port':30009"));
    CLEANUP_FREE char *text = NULL;
    struct failure failure = {""};

    write_file(SSH_CONFIG_FILE, "of a running gate");
    write_file(KNOWN_HOSTS_FILE, "");
    write_file(ENTRYPOINT_FILE, "of another manifest");
    cr_assert_eq(gate_prepare(json, "web", stage, &text, &failure), BOTTLE_OK, "%s",
                 failure.message);
    expect_file(SSH_CONFIG_FILE, "of a running gate");
    expect_file(KNOWN_HOSTS_FILE, "");
    expect_file(ENTRYPOINT_FILE,
                "#!/bin/sh\nset -eu\n"
                "socat TCP-LISTEN:30009,reuseaddr,fork TCP:gitea.example:30009 &\nwait\n");
    cr_expect_eq(directory_count(stage), 4);
    remove_files();
}

/* prepare takes a relative path and a longer way round, and puts the absolute one into the plan. */
Test(manifest, the_plans_paths_are_absolute)
{
    CLEANUP_FREE char *text = NULL;
    CLEANUP_PLAN struct plan plan = {0};
    struct failure failure = {""};

    cr_assert_eq(chdir(stage), 0);
    cr_assert_eq(gate_prepare("{}", "web", "./", &text, &failure), BOTTLE_OK, "%s",
                 failure.message);
    cr_assert_eq(chdir("/"), 0);
    cr_assert_eq(plan_from_json(text, &plan, &failure), BOTTLE_OK, "%s", failure.message);
    cr_expect_str_eq(plan.stage_dir, stage);
    remove_files();
}

/* A stage dir so deep that the path of a file in it would not fit into a plan. */
Test(manifest, a_stage_dir_that_is_too_deep_is_refused)
{
    char name[201];
    CLEANUP_FREE char *plan = NULL;
    struct failure failure = {""};
    int depth = 0;

    memset(name, 'd', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    cr_assert_eq(chdir(stage), 0);
    for (; depth < 20; depth++) {
        cr_assert_eq(mkdir(name, 0700), 0);
        cr_assert_eq(chdir(name), 0);
    }
    /* 25 + 20 * 201 bytes so far; with 35 more, the directory's own path fits but no file's. */
    name[30] = '\0';
    cr_assert_eq(mkdir(name, 0700), 0);
    cr_expect_eq(gate_prepare("{}", "web", name, &plan, &failure), BOTTLE_INVALID);
    cr_expect_not_null(strstr(failure.message, "give a shorter one"), "%s", failure.message);
    cr_expect_eq(rmdir(name), 0, "nothing may be written");
    name[30] = 'd';
    for (; depth > 0; depth--) {
        cr_assert_eq(chdir(".."), 0);
        cr_assert_eq(rmdir(name), 0);
    }
    cr_assert_eq(chdir("/"), 0);
}

Test(manifest, a_bad_stage_dir_is_refused)
{
    CLEANUP_FREE char *plan = NULL;
    struct failure failure = {""};

    cr_expect_eq(gate_prepare("{}", "web", NULL, &plan, &failure), BOTTLE_INVALID);
    cr_expect_not_null(strstr(failure.message, "stage dir: no path given"));
    cr_expect_eq(gate_prepare("{}", "web", "/nonexistent/stage", &plan, &failure),
                 BOTTLE_UNAVAILABLE);
    cr_expect_not_null(strstr(failure.message, "/nonexistent/stage"), "%s", failure.message);
    cr_expect_null(plan);
}
