/* SPDX-License-Identifier: MIT */
/* list.h: an intrusive, circular, doubly linked list.  A node that is in no list points to itself.
 */
#ifndef RELAY_LIST_H
#define RELAY_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list_node {
    struct list_node *previous, *next;
};

static inline void list_init(struct list_node *node)
{
    node->previous = node->next = node;
}

static inline bool list_is_empty(const struct list_node *head)
{
    return head->next == head;
}

static inline void list_append(struct list_node *head, struct list_node *node)
{
    node->previous = head->previous;
    node->next = head;
    head->previous->next = node;
    head->previous = node;
}

/* May be called for a node that is in no list. */
static inline void list_remove(struct list_node *node)
{
    node->previous->next = node->next;
    node->next->previous = node->previous;
    list_init(node);
}

#define container_of(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#endif
