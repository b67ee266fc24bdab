/* SPDX-License-Identifier: MIT */
/* relay_image.S: takes in the file that the build names RELAY_FILE; relay_image.h. */
    .section .rodata
    .global relay_image, relay_image_end
    .hidden relay_image, relay_image_end
    .balign 16
relay_image:
    .incbin RELAY_FILE
relay_image_end:
    .byte 0
    .section .note.GNU-stack, "", %progbits
