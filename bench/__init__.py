# SPDX-License-Identifier: MIT
"""`python -m bench`: lamella beside its peers on this machine, in turn, as shares of what the machine can do."""
