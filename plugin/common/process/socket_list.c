/* SPDX-License-Identifier: MIT */
/* socket_list.c: see socket_list.h. */
#include "common/process/socket_list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

char *socket_list_read(void)
{
    FILE *sockets = fopen(SOCKET_LIST, "re");
    char *text = NULL;
    size_t size = 0;

    if (!sockets)
        return NULL;
    errno = EIO; /* in case it is empty, which it should never be */
    if (getdelim(&text, &size, '\0', sockets) < 0) {
        free(text);
        text = NULL;
    }
    (void)fclose(sockets);
    return text;
}
