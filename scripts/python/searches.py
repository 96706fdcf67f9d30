"""Prints a search body a line for each patient in a directory of FHIR bundles and NDJSON: what POST /v1/patients/search takes."""

import json
import pathlib
import sys


def patients(path):
    texts = path.read_text().splitlines() if path.suffix == ".ndjson" else [path.read_text()]
    for resource in map(json.loads, texts):
        entries = resource["entry"] if resource["resourceType"] == "Bundle" else [{"resource": resource}]
        yield from (entry["resource"] for entry in entries if entry["resource"]["resourceType"] == "Patient")


for path in sorted(pathlib.Path(sys.argv[1]).glob("*.*json")):
    for patient in patients(path):
        name = patient["name"][0]
        words = " ".join([*name["given"], name["family"]])
        print(json.dumps({"name": words, "birth_date": patient["birthDate"]}))
