/* SPDX-License-Identifier: MIT */
/* The default allocator, and buffers: growable bytes with a maximum size and two cursors. */
#include "core/internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* --- allocator -------------------------------------------------------------------------------- */

static void *allocate_default(void *context, size_t size)
{
    (void)context;
    return malloc(size);
}

static void release_default(void *context, void *memory, size_t size)
{
    (void)context;
    (void)size;
    free(memory);
}

const goipc_allocator *goipci_allocator_or_default(const goipc_allocator *allocator)
{
    static const goipc_allocator allocator_default = {NULL, allocate_default, release_default};

    return allocator != NULL ? allocator : &allocator_default;
}

void *goipci_allocate_zeroed(const goipc_allocator *allocator, size_t size)
{
    void *memory;

    assert(allocator != NULL && size > 0);
    memory = allocator->allocate(allocator->context, size);
    if (memory != NULL) {
        memset(memory, 0, size);
    }
    return memory;
}

void goipci_release(const goipc_allocator *allocator, void *memory, size_t size)
{
    assert(allocator != NULL);
    if (memory == NULL) {
        return;
    }
    assert(size > 0);
    goipc_wipe(memory, size);
    allocator->release(allocator->context, memory, size);
}

/* --- buffer ----------------------------------------------------------------------------------- */

/* The first allocation: large enough that the short messages of a handshake do not make it grow. */
enum { CAPACITY_FIRST = 256 };

bool goipci_buffer_valid(const goipci_buffer *buffer)
{
    return buffer->allocator != NULL && buffer->read_at <= buffer->write_at &&
           buffer->write_at <= buffer->capacity && buffer->capacity <= buffer->capacity_max &&
           (buffer->bytes == NULL) == (buffer->capacity == 0);
}

void goipci_buffer_init(goipci_buffer *buffer, const goipc_allocator *allocator,
                        size_t capacity_max)
{
    assert(buffer != NULL && allocator != NULL);
    *buffer = (goipci_buffer){.allocator = allocator, .capacity_max = capacity_max};
    assert(goipci_buffer_valid(buffer));
}

void goipci_buffer_wipe(goipci_buffer *buffer)
{
    assert(goipci_buffer_valid(buffer));
    goipci_release(buffer->allocator, buffer->bytes, buffer->capacity);
    goipci_buffer_init(buffer, buffer->allocator, buffer->capacity_max);
}

static void move_to_front(goipci_buffer *buffer)
{
    const size_t waiting = goipci_buffer_size(buffer);

    memmove(buffer->bytes, buffer->bytes + buffer->read_at, waiting);
    buffer->read_at = 0;
    buffer->write_at = waiting;
}

/* Doubles, so that bytes added one at a time are copied a constant number of times on average. */
static bool grow(goipci_buffer *buffer, size_t needed)
{
    const size_t waiting = goipci_buffer_size(buffer);
    size_t capacity =
        buffer->capacity <= buffer->capacity_max / 2 ? buffer->capacity * 2 : buffer->capacity_max;
    uint8_t *bytes;

    assert(needed <= buffer->capacity_max);
    capacity = capacity < CAPACITY_FIRST ? CAPACITY_FIRST : capacity;
    capacity = capacity < needed ? needed : capacity;
    capacity = capacity < buffer->capacity_max ? capacity : buffer->capacity_max;
    bytes = buffer->allocator->allocate(buffer->allocator->context, capacity);
    if (bytes == NULL) {
        return false;
    }
    if (waiting > 0) {
        memcpy(bytes, buffer->bytes + buffer->read_at, waiting);
    }
    goipci_release(buffer->allocator, buffer->bytes, buffer->capacity);
    buffer->bytes = bytes;
    buffer->capacity = capacity;
    buffer->read_at = 0;
    buffer->write_at = waiting;
    return true;
}

goipc_error goipci_buffer_reserve(goipci_buffer *buffer, size_t size)
{
    const size_t waiting = goipci_buffer_size(buffer);
    bool fits;

    if (size <= buffer->capacity - buffer->write_at) {
        return GOIPC_ERROR_OK;
    }
    if (size > buffer->capacity_max - waiting) {
        return GOIPC_ERROR_CAPACITY;
    }
    /* Move only if at least as many bytes were consumed as have to be moved. Otherwise a nearly
     * full buffer would be moved again and again for a few bytes each time. */
    fits = waiting + size <= buffer->capacity;
    if (fits && (buffer->read_at >= waiting || buffer->capacity == buffer->capacity_max)) {
        move_to_front(buffer);
    } else if (!grow(buffer, waiting + size)) {
        if (!fits) {
            return GOIPC_ERROR_MEMORY;
        }
        move_to_front(buffer);
    }
    assert(goipci_buffer_valid(buffer) && size <= buffer->capacity - buffer->write_at);
    return GOIPC_ERROR_OK;
}

uint8_t *goipci_buffer_room(goipci_buffer *buffer, size_t *capacity)
{
    assert(goipci_buffer_valid(buffer) && capacity != NULL);
    *capacity = buffer->capacity - buffer->write_at;
    return buffer->bytes == NULL ? NULL : buffer->bytes + buffer->write_at;
}

void goipci_buffer_commit(goipci_buffer *buffer, size_t size)
{
    assert(goipci_buffer_valid(buffer));
    assert(size <= buffer->capacity - buffer->write_at);
    buffer->write_at += size;
}

goipc_error goipci_buffer_append(goipci_buffer *buffer, const uint8_t *bytes, size_t size)
{
    const goipc_error error = goipci_buffer_reserve(buffer, size);

    if (error == GOIPC_ERROR_OK && size > 0) {
        memcpy(buffer->bytes + buffer->write_at, bytes, size);
        goipci_buffer_commit(buffer, size);
    }
    return error;
}

void goipci_buffer_consume(goipci_buffer *buffer, size_t size)
{
    assert(size <= goipci_buffer_size(buffer));
    buffer->read_at += size;
    /* An empty buffer starts again at the front. Old bytes stay valid until the next write. */
    if (buffer->read_at == buffer->write_at) {
        buffer->read_at = 0;
        buffer->write_at = 0;
    }
}

void goipci_buffer_shrink(goipci_buffer *buffer, size_t capacity_kept)
{
    if (goipci_buffer_size(buffer) == 0 && buffer->capacity > capacity_kept) {
        goipci_buffer_wipe(buffer);
    }
}
