/* onepass.h - fused optimizers for C, and so for every language that can call C. It has everything that the
 * C++ library has, uses names, numbers and pointers, and throws no exceptions. A program:
 *
 *     #include <stdio.h>
 *     #include "onepass.h"
 *
 *     int main(void) {
 *       float value[3] = {0.5f, -1.0f, 2.0f}, grad[3] = {0.1f, 0.2f, -0.3f};
 *       const onepass_setting settings[] = {{"lr", 3e-4, NULL}, {"weight_decay_mode", 0, "decoupled"}};
 *       const onepass_group group = {sizeof(onepass_group), 0, "AdamW", settings, 2};
 *       const onepass_parameter parameter = {
 *           .size = sizeof parameter, .name = "weight", .value = value, .grad = grad, .numel = 3};
 *       onepass_optimizer* optimizer = NULL;
 *       int status = onepass_create(&group, 1, &parameter, 1, ONEPASS_CPU, NULL, &optimizer);
 *       if (status == ONEPASS_OK) status = onepass_step(optimizer, NULL);
 *       if (status != ONEPASS_OK) puts(onepass_last_error());
 *       onepass_destroy(optimizer);
 *       return status;
 *     }
 *
 * Names: rules, hyperparameters, schedules, initializers and their members have the names that the C++
 * library gives them, so a new rule needs no change here.
 *
 * Structs: each begins with `size`, which the caller sets to the struct's sizeof. 0 is the default of every
 * other member, unless its comment says otherwise, so a program sets `size` and what it needs. Later versions
 * of the library add members at the end: a library takes the structs of older programs, and refuses those of
 * a newer one only if they set a member that it does not have. onepass_setting, onepass_text and
 * onepass_segment have no size and never change.
 *
 * Errors: a function that can fail returns a status. After any but ONEPASS_OK onepass_last_error() explains
 * the failure in one sentence, and the call has changed nothing unless its comment says otherwise.
 *
 * Memory: the caller owns parameters, gradients and the memory that it gives for states, and keeps them until
 * the optimizer is destroyed or they are removed. Structs, arrays and strings that it passes are copied.
 * Handles belong to the caller, who destroys each of them; null may be destroyed. Strings that the library
 * returns stay valid until the process ends, or as long as the handle that they come from, except where a
 * comment says "until the next text": those are valid until this thread calls another such function.
 *
 * CUDA: `stream` is a cudaStream_t, or null for the default stream. Calls queue work on it and do not wait,
 * unless their comment says so. On the CPU `stream` is ignored, and the work is done when the call returns.
 * The library needs no CUDA library and no driver; without a device it has the CPU.
 *
 * Threads: do not use one handle in two host threads at once. Different handles may be used at the same time,
 * and so may the functions without a handle. The last error belongs to the calling thread. */
#ifndef ONEPASS_H
#define ONEPASS_H

#include "onepass_c/base.h"
#include "onepass_c/gradients.h"
#include "onepass_c/optimizer.h"
#include "onepass_c/parameter.h"
#include "onepass_c/random.h"
#include "onepass_c/rule.h"
#include "onepass_c/sam.h"
#include "onepass_c/schedule.h"
#include "onepass_c/state.h"

#endif /* ONEPASS_H */
