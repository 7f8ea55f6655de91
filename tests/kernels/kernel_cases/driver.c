/* Runs kernels on memory from a file and writes the memory back.
 *
 *   driver <job> <result>
 *
 * A job is made of int64 numbers: counts of bytes, pointers, launches; the places in memory that are
 * pointers (they hold offsets, which become addresses); five numbers a launch (kernel, offsets of
 * arguments and step, tasks, 0). The memory follows. The result is the memory, with addresses.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef void kernel(const void *arguments, const void *step, int64_t task, int64_t thread);

#define KERNEL(name) kernel name;
#include "kernels.h"
#undef KERNEL
#define KERNEL(name) name,
static kernel *const kernels[] = {
#include "kernels.h"
};

enum { BYTES, POINTERS, LAUNCHES, HEADER };
struct launch { int64_t kernel, arguments, step, tasks, thread; };

static void *read_exactly(FILE *file, size_t size) {
    void *data = aligned_alloc(64, (size + 63) / 64 * 64 + 64);
    if (!data || fread(data, 1, size, file) != size) {
        fputs("the job is too short\n", stderr);
        exit(1);
    }
    return data;
}

int main(int count, char **names) {
    FILE *job = count == 3 ? fopen(names[1], "rb") : NULL;
    if (!job) {
        fputs("usage: driver <job> <result>\n", stderr);
        return 2;
    }
    int64_t *header = read_exactly(job, HEADER * sizeof *header);
    int64_t *pointers = read_exactly(job, header[POINTERS] * sizeof *pointers);
    struct launch *launches = read_exactly(job, header[LAUNCHES] * sizeof *launches);
    char *memory = read_exactly(job, header[BYTES]);
    for (int64_t i = 0; i < header[POINTERS]; i++)
        *(int64_t *)(memory + pointers[i]) += (int64_t)memory;
    for (int64_t i = 0; i < header[LAUNCHES]; i++) {
        const struct launch *l = &launches[i];
        for (int64_t task = 0; task < l->tasks; task++)
            kernels[l->kernel](memory + l->arguments, memory + l->step, task, l->thread);
    }
    FILE *result = fopen(names[2], "wb");
    if (!result || fwrite(memory, 1, header[BYTES], result) != (size_t)header[BYTES]
        || fclose(result)) {
        fputs("cannot write the result\n", stderr);
        return 1;
    }
    return 0;
}
