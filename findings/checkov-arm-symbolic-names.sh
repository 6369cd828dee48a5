#!/usr/bin/env bash
# What checkov says of a template that Bicep compiles today. Bicep writes `"languageVersion": "2.0"` wherever a module uses
# what needs it (symbolic names, user-defined types), and `resources` is an object there, not an array (Microsoft Learn,
# "Use symbolic name in ARM templates").
#
#   checkov 3.3.30, framework arm: of one storage account that allows plain HTTP it
#     finds the fault where `resources` is an array;
#     sees no resource where it is an object: nothing failed, exit code 0.
#
# So a pipeline that scans compiled Bicep may be green because nothing was looked at: hold it to a count of resources.
#
# Needs Python 3.10 or newer, PyPI and about 300 MB. Exit code 0: it is as told here; 1: something else was seen; 2: it
# could not be tried.
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv && venv/bin/pip install --quiet --disable-pip-version-check checkov==3.3.30 || exit 2

account='{"type":"Microsoft.Storage/storageAccounts","apiVersion":"2023-05-01","name":"stexample","location":"westeurope",
  "sku":{"name":"Standard_LRS"},"kind":"StorageV2","properties":{"supportsHttpsTrafficOnly":false}}'
# shellcheck disable=SC2016  # a key of JSON begins with a dollar sign
schema='"$schema":"https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#","contentVersion":"1.0.0.0"'
mkdir array object
printf '{%s,"resources":[%s]}' "$schema" "$account" >array/main.json
printf '{%s,"languageVersion":"2.0","resources":{"account":%s}}' "$schema" "$account" >object/main.json

for form in array object; do
  status=0
  venv/bin/checkov --directory "$form" --framework arm --output json --quiet --compact >"$form.json" 2>/dev/null || status=$?
  venv/bin/python - "$form" "$status" <<'TELL'
import json, sys

told = json.load(open(f"{sys.argv[1]}.json"))
summary = told.get("summary", told)
print(f"{sys.argv[1]}: resources {summary['resource_count']}, some failed {summary['failed'] > 0}, exit code {sys.argv[2]}")
TELL
done | tee seen

cat >expected <<'EXPECTED'
array: resources 1, some failed True, exit code 1
object: resources 0, some failed False, exit code 0
EXPECTED
diff expected seen && echo "As told."
