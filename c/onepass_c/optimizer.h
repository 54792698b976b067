/* optimizer.h - one optimizer over all parameters of a model. A part of onepass.h. */
#ifndef ONEPASS_C_OPTIMIZER_H
#define ONEPASS_C_OPTIMIZER_H

#include "parameter.h"
#include "schedule.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An optimizer over a list of parameters. A `group` is the index of a parameter group, counted from 0. */
typedef struct onepass_optimizer onepass_optimizer;

/* Makes an optimizer on `device` over the parameters, at least 1. They are distributed over the groups, at
 * least 1, each with a rule of its own. `options` may be null for the defaults. Gives the states their first
 * contents and waits for that.
 *
 * On failure *optimizer is null. Returns ONEPASS_INVALID_ARGUMENT for a null pointer, an unknown rule or
 * hyperparameter, a value out of range or in contradiction to another, a group or device that does not exist,
 * a name that occurs twice, memory on another device or misaligned, and memory that overlaps. */
int onepass_create(const onepass_group* groups, int64_t group_count, const onepass_parameter* parameters,
                   int64_t parameter_count, int32_t device, const onepass_options* options,
                   onepass_optimizer** optimizer);
/* Waits for the optimizer's last step and frees its memory. */
void onepass_destroy(onepass_optimizer* optimizer);

/* Updates every parameter that has a gradient. It never waits and never allocates, so a CUDA graph can
 * capture it; capture again after parameters were added or removed. */
int onepass_step(onepass_optimizer* optimizer, void* stream);
/* Steps the parameters with these numbers, in the order of registration, and reads the gradients of no
 * others: a backward pass can free each gradient at once. A round is calls for disjoint sets of parameters
 * and then onepass_end_round(), and clips by the norm of the round before. Other steps, accumulation and
 * changes of the parameters are refused in between. The first call with a set of parameters waits. */
int onepass_step_some(onepass_optimizer* optimizer, const int64_t* parameters, int64_t parameter_count,
                      void* stream);
/* Ends a round: keeps its norm, moves the loss scale, and counts a step. */
int onepass_end_round(onepass_optimizer* optimizer, void* stream);

/* Takes a pass over the parameters that is no step, which some rules have: "update_hessian" of SophiaG. It
 * reads the gradients without clipping them, and counts nothing. The first call allocates, so make it before
 * you capture a graph. */
int onepass_sweep(onepass_optimizer* optimizer, const char* name, void* stream);
/* Fills every gradient with zeros. */
int onepass_zero_grad(onepass_optimizer* optimizer, void* stream);

/* Sets one hyperparameter of a group to a number. It takes effect for steps queued on `stream` after this
 * call, replays of a captured graph included. Refuses a value that is out of range, contradicts another one,
 * or needs other states than the group was made with. A momentum may become 0 and return. */
int onepass_set(onepass_optimizer* optimizer, int32_t group, const char* name, double value, void* stream);
/* Sets several hyperparameters of a group, also by text: all of them or, on failure, none. */
int onepass_set_several(onepass_optimizer* optimizer, int32_t group, const onepass_setting* settings,
                        int64_t setting_count, void* stream);
/* Sets the learning rate of all groups. */
int onepass_set_lr(onepass_optimizer* optimizer, double lr, void* stream);
/* Writes a hyperparameter of a group, as last set: a flag is 0 or 1, a choice the index of its name. */
int onepass_get(const onepass_optimizer* optimizer, int32_t group, const char* name, double* value);
/* Writes it as text: "0.95", "true", "decoupled". The text is valid until the next text. */
int onepass_get_text(const onepass_optimizer* optimizer, int32_t group, const char* name, const char** text);
/* Writes the name of a group's rule: "AdamW". */
int onepass_group_rule(const onepass_optimizer* optimizer, int32_t group, const char** rule);
int onepass_group_count(const onepass_optimizer* optimizer, int64_t* count);

/* Makes the learning rate of a group, or of all if `group` is -1, follow a schedule over the steps taken. The
 * rule's lr becomes the base rate. A null schedule removes it. Waits for the optimizer's last step. */
int onepass_set_schedule(onepass_optimizer* optimizer, int32_t group, const onepass_schedule* schedule);
/* Makes a copy of a group's schedule, which the caller destroys. */
int onepass_get_schedule(const onepass_optimizer* optimizer, int32_t group, onepass_schedule** schedule);
/* Writes the learning rate of a group's next step, with its schedule applied. Waits for `stream`. */
int onepass_lr(const onepass_optimizer* optimizer, int32_t group, void* stream, double* lr);
/* Reports a metric, and lowers the learning rate of all groups if the plateau fires. Writes 1 to *fired then,
 * else 0; `fired` may be null. */
int onepass_plateau_step(onepass_plateau* plateau, double metric, onepass_optimizer* optimizer, void* stream,
                         int32_t* fired);

/* Replaces the gradients, one tensor for each parameter in the order of registration. A null address leaves
 * its parameter out. It takes effect for steps queued on `stream` after this call, replays included. */
int onepass_set_gradients(onepass_optimizer* optimizer, const onepass_tensor* gradients, int64_t count,
                          void* stream);
/* Replaces the memory of some parameters: values, gradients, copies and given streams. Each is found by its
 * name; the caller has moved the contents. It takes effect for steps queued on `stream` after this call,
 * replays included. */
int onepass_set_memory(onepass_optimizer* optimizer, const onepass_parameter* parameters, int64_t count,
                       void* stream);
/* Adds parameters, whose first step is step 1. Waits for the device. */
int onepass_add_parameters(onepass_optimizer* optimizer, const onepass_parameter* parameters, int64_t count);
/* Removes parameters by name, with their states and counts. Waits for the device. */
int onepass_remove_parameters(onepass_optimizer* optimizer, const char* const* names, int64_t count);

/* Lists the bytes that the model and its optimizer take, summed over all parameters. */
int onepass_memory(const onepass_optimizer* optimizer, onepass_streams** streams);
/* Lists the bytes that a step reads and writes. */
int onepass_traffic(const onepass_optimizer* optimizer, onepass_streams** streams);
int onepass_parameter_count(const onepass_optimizer* optimizer, int64_t* count);
/* Writes the device: ONEPASS_CPU or the number of a CUDA device. */
int onepass_device(const onepass_optimizer* optimizer, int32_t* device);
/* Writes the number of steps taken, skipped ones excluded. Waits for `stream`. */
int onepass_steps(const onepass_optimizer* optimizer, void* stream, int64_t* steps);
/* Writes the number of steps that were skipped. Waits for `stream`. */
int onepass_skipped_steps(const onepass_optimizer* optimizer, void* stream, int64_t* steps);
/* Writes the number of steps that a parameter has taken. Waits for `stream`. */
int onepass_step_count(const onepass_optimizer* optimizer, const char* parameter, void* stream,
                       int64_t* steps);

#ifdef __cplusplus
}
#endif

#endif /* ONEPASS_C_OPTIMIZER_H */
