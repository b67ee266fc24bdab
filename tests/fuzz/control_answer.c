/* SPDX-License-Identifier: MIT */
/*
 * control_answer.c: what a relay, or another who has its name, answers to a launcher.
 *
 * A thread of the target has the name; the input is its one packet.  Its first byte says what is
 * asked.
 */
#include "wire/control_client.h"

#include "fuzz.h"

#include "common/cleanup.h"
#include "wire/control.h"

#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct target target;
static int listener = -1;
static char
    answer[2 * CONTROL_MAX_STATUS]; /* the thread may still be at it when an input is over */
static size_t answer_length;

static void *serve(void *unused)
{
    (void)unused;
    for (;;) {
        struct control_request request;
        CLEANUP_FD int fd = accept(listener, NULL, NULL);
        REQUIRE(fd >= 0);
        REQUIRE(recv(fd, &request, sizeof request, 0) == (ssize_t)sizeof request);
        if (answer_length > 0)
            (void)send(fd, answer, answer_length, MSG_NOSIGNAL); /* what is too long is not sent */
    }
}

static void set_up(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    pthread_t server;

    (void)snprintf(target.slug, sizeof target.slug, "fuzz-%d", getpid());
    int length = snprintf(address.sun_path + 1, sizeof address.sun_path - 1, CONTROL_NAME_OF_SLUG,
                          geteuid(), target.slug);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
    listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    REQUIRE(listener >= 0 && !bind(listener, (struct sockaddr *)&address, size));
    REQUIRE(!listen(listener, 1) && !pthread_create(&server, NULL, serve, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_FREE char *text = NULL;
    struct failure failure;
    enum bottle_result result;

    if (size < 1)
        return 0;
    if (listener < 0)
        set_up();
    answer_length = size - 1 < sizeof answer ? size - 1 : sizeof answer;
    memcpy(answer, data + 1, answer_length);
    if (data[0] & 1)
        result = control_status(&target, &text, &failure);
    else
        result = control_drain(&target, -1, &failure);
    REQUIRE(result >= BOTTLE_OK && result <= BOTTLE_INTERNAL);
    if (result != BOTTLE_OK)
        require_message(&failure);
    REQUIRE(result == BOTTLE_OK || !text);
    if (result == BOTTLE_OK)
        REQUIRE(answer_length >= sizeof(struct control_reply));
    if (result == BOTTLE_OK && (data[0] & 1))
        REQUIRE(strlen(text) <= answer_length - sizeof(struct control_reply));
    return 0;
}
