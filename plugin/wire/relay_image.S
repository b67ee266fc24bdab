/* SPDX-License-Identifier: MIT */
/* relay_image.S: takes in the files that the build names RELAY_FILE and RELAY_SHA256; relay_image.h. */
    .section .rodata
    .global relay_image, relay_image_end, relay_image_sha256
    .hidden relay_image, relay_image_end, relay_image_sha256
    .balign 16
relay_image:
    .incbin RELAY_FILE
relay_image_end:
    .byte 0
relay_image_sha256:
    .incbin RELAY_SHA256, 0, 64
    .byte 0
    .section .note.GNU-stack, "", %progbits
