// reference.cpp - shows that the reference compiles on its own, without any include path of the library.
#include "reference/adam.hpp"
#include "reference/adamw.hpp"
#include "reference/rmsprop.hpp"
#include "reference/sgd.hpp"
