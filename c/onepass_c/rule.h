/* rule.h - rules, presets and hyperparameters by name. A part of onepass.h. */
#ifndef ONEPASS_C_RULE_H
#define ONEPASS_C_RULE_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Returns the number of rules. It is the same during the life of the process. */
int32_t onepass_rule_count(void);
/* Returns the name of a rule, such as "AdamW", by its index, counted from 0. Returns null, with a sentence in
 * onepass_last_error(), if there is no such rule. */
const char* onepass_rule_name(int32_t index);

/* Describes one preset of a rule: the settings of another implementation of it. Every function and struct
 * here that takes the name of a rule takes "LAMB.apex" too, the rule with the settings of its preset. The
 * library owns both strings; they stay valid until the process ends. */
typedef struct {
  uint32_t size;
  int32_t reserved;    /* 0 */
  const char* name;    /* "apex" */
  const char* meaning; /* One sentence or more: whose settings they are, and what they leave out. */
} onepass_preset_info;

/* Writes the number of a rule's presets. Most rules have none. */
int onepass_preset_count(const char* rule, int32_t* count);
/* Describes a preset of a rule, by its index, counted from 0. */
int onepass_preset(const char* rule, int32_t index, onepass_preset_info* info);

/* Values of onepass_hyperparameter_info.kind. */
enum {
  ONEPASS_NUMBER = 0, /* Any number in the interval. */
  ONEPASS_FLAG = 1,   /* 0 or 1; as text "false" or "true". */
  ONEPASS_CHOICE = 2  /* An index in `choices`; as text the name that stands there. */
};

/* Describes one hyperparameter of a rule. The library owns all strings and the array `choices`; they stay
 * valid until the process ends. */
typedef struct {
  uint32_t size;
  int32_t kind;               /* ONEPASS_NUMBER, ... */
  const char* name;           /* "beta1" */
  const char* meaning;        /* One sentence or more, with units. */
  const char* interval;       /* A number's range: "[0, 1)", ">= 0", "finite". Empty for other kinds. */
  const char* const* choices; /* Names of a choice's values. Null for other kinds. */
  int64_t choice_count;       /* Length of `choices`. */
  double default_value;       /* The value that the rule, or its preset, has if no setting changes it. */
} onepass_hyperparameter_info;

/* Writes the number of a rule's hyperparameters. */
int onepass_hyperparameter_count(const char* rule, int32_t* count);
/* Describes a hyperparameter of a rule, by its index, counted from 0; "lr" is the first. */
int onepass_hyperparameter(const char* rule, int32_t index, onepass_hyperparameter_info* info);

/* The value of one hyperparameter, or of a member of a schedule or an initializer, as a number or as text. */
typedef struct {
  const char* name; /* "lr" */
  double value;     /* Used if `text` is null. A flag is 0 or 1, a choice the index of its name. */
  const char* text; /* Used if not null: "0.1", "true", "decoupled". */
} onepass_setting;

/* The rule of a parameter group. Hyperparameters without a setting have their defaults, or the preset's. If
 * two settings have the same name, the later one counts. */
typedef struct {
  uint32_t size;
  int32_t reserved;                /* 0 */
  const char* rule;                /* "AdamW", or with a preset "LAMB.apex" */
  const onepass_setting* settings; /* May be null if setting_count is 0. */
  int64_t setting_count;
} onepass_group;

#ifdef __cplusplus
}
#endif

#endif /* ONEPASS_C_RULE_H */
