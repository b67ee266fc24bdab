/* SPDX-License-Identifier: MIT */
/* labels.c: see labels.h. */
#include "container/labels.h"

#include <stdio.h>
#include <unistd.h>

bool label_owner(char owner[LABEL_OWNER_SIZE])
{
    char host[256] = "";

    if (gethostname(host, sizeof host - 1))
        return false;
    (void)snprintf(owner, LABEL_OWNER_SIZE, "%u@%s", geteuid(), host);
    return true;
}
