# SPDX-License-Identifier: MIT
# The model of the second stage: tests/spin/protocol.pml. tests/spin/run --help says more.

check-model: setup-model
	@tests/spin/run --build $(BUILD)/spin

check-model-mutants: setup-model
	@tests/spin/run --build $(BUILD)/spin --mutants

setup-model:
	@tools/setup model

.PHONY: check-model check-model-mutants setup-model
