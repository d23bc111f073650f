#!/bin/sh
# Puts DataChain into a virtual environment of its own: setup.sh FOLDER
set -eu
python3 -m venv "$1"
"$1/bin/pip" install --quiet datachain==0.62.0
touch "$1/ready"
