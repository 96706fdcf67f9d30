"""Makes synthetic FHIR R4 patients: carebundle writes transaction bundles, clinosim writes NDJSON.

Neither generator gives everything that a chart of ours holds, so `dress` adds the rest: social security numbers from the
range that is never issued (9xx), e-mail addresses below example.org, appointments, medication statements and a few specially
protected conditions. The same seed gives the same bytes. No line describes a real person.
"""

import argparse
import collections
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

CHUNK = 100
LARGEST_BYTES = 4_000
BIN = pathlib.Path(sys.executable).parent
ENDS = "2025-12-31"  # never the clock: the same seed must give the same bytes on any day
REFERENCE_TYPES = ("Practitioner", "Organization")
SENSITIVE = [
    ("PSY", "F33.1", "Major depressive disorder, recurrent, moderate"),
    ("SUD", "F10.20", "Alcohol dependence, uncomplicated"),
    ("HIV", "B20", "Human immunodeficiency virus [HIV] disease"),
    ("SEX", "Z30.09", "Encounter for other general counseling and advice on contraception"),
]


def run(*command):
    """Runs a generator quietly; its output is shown only when it fails."""
    env = dict(os.environ, PYTHONHASHSEED="0")
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(f"{command[0]} failed:\n{done.stdout[-2000:]}")


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def chosen(resources, most):
    """At most `most` small resources of each type and category, without the narratives that repeat what the fields say."""
    if not most:
        return resources
    seen, kept = collections.Counter(), []
    for resource in resources:
        category = resource.get("category") or [{}]
        category = category[0] if isinstance(category, list) else category
        key = (resource["resourceType"], compact(category))
        seen[key] += 1
        resource.pop("text", None)
        if seen[key] <= most and len(compact(resource)) <= LARGEST_BYTES:
            kept.append(resource)
    return kept


def renamed(value, suffix):
    """clinosim numbers its people from one in every run, so the ids of a chunk get the chunk's mark."""
    if isinstance(value, dict):
        out = {key: renamed(inner, suffix) for key, inner in value.items()}
        if "resourceType" in out and "id" in out:
            out["id"] += suffix
        if isinstance(out.get("reference"), str) and "/" in out["reference"]:
            out["reference"] += suffix
        return out
    return [renamed(inner, suffix) for inner in value] if isinstance(value, list) else value


def coded(system, code, text):
    return {"coding": [{"system": system, "code": code, "display": text}], "text": text}


def dress(patient, reference, number, link):
    """Adds to a patient, and returns, what the generators leave out. `link` makes a resource's full reference."""
    v2 = "http://terminology.hl7.org/CodeSystem/v2-0203"
    identifiers = patient["identifier"]
    typed = [i for i in identifiers if i.get("type", {}).get("coding", [{}])[0].get("code") == "MR"]
    if typed:
        typed[0]["value"] = f"{typed[0]['value']}-{number:06d}"
    else:
        mrn = {"use": "usual", "type": coded(v2, "MR", "Medical Record Number")}
        identifiers.append(mrn | {"system": "http://hospital.example.org/identifiers/mrn", "value": f"CB-{number:06d}"})
    if number % 10 != 9:  # one in ten has none, as in life
        ssn = 900_000_000 + (number * 7_368_787 + 123_457) % 100_000_000
        text = f"{ssn // 1_000_000:03d}-{ssn // 10_000 % 100:02d}-{ssn % 10_000:04d}"
        social = {"use": "official", "type": coded(v2, "SS", "Social Security Number")}
        identifiers.append(social | {"system": "http://hl7.org/fhir/sid/us-ssn", "value": text})
    name = patient["name"][0]
    telecom = patient.setdefault("telecom", [])
    if not telecom:
        telecom.append({"system": "phone", "value": f"(617) 555-{number % 10_000:04d}", "use": "home"})
    address = f"{name['given'][0]}.{name['family']}.{number}@example.org".lower().replace(" ", "").replace("'", "")
    telecom.append({"system": "email", "value": address, "use": "home"})
    if "address" not in patient:
        home = {"use": "home", "line": [f"{100 + number % 900} Elm St"], "city": "Boston", "state": "MA"}
        patient["address"] = [home | {"postalCode": "02108", "country": "US"}]
    added = [{
        "resourceType": "Appointment",
        "status": "fulfilled" if number % 4 == 0 else "booked",
        "serviceType": [{"text": "Follow-up"}],
        "description": "Follow-up visit",
        "start": f"2026-{1 + number % 12:02d}-{1 + number % 28:02d}T{8 + number % 9:02d}:30:00Z",
        "end": f"2026-{1 + number % 12:02d}-{1 + number % 28:02d}T{9 + number % 9:02d}:00:00Z",
        "participant": [{"actor": {"reference": reference}, "status": "accepted"}],
    }]
    if number % 3 == 0:
        added.append({
            "resourceType": "MedicationStatement",
            "status": "active",
            "medicationCodeableConcept": coded("http://www.nlm.nih.gov/research/umls/rxnorm", "1191", "Aspirin"),
            "subject": {"reference": reference},
            "effectivePeriod": {"start": "2025-03-01"},
            "dateAsserted": "2025-11-02T10:00:00Z",
            "dosage": [{"text": "81 mg by mouth once a day"}],
        })
    if number % 5 == 0:
        label, code, text = SENSITIVE[number // 5 % len(SENSITIVE)]
        security = [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": label}]
        status = "http://terminology.hl7.org/CodeSystem/condition-"
        added.append({
            "resourceType": "Condition",
            "meta": {"security": security},
            "clinicalStatus": coded(status + "clinical", "active", "Active"),
            "verificationStatus": coded(status + "ver-status", "confirmed", "Confirmed"),
            "code": coded("http://hl7.org/fhir/sid/icd-10-cm", code, text),
            "subject": {"reference": reference},
            "onsetDateTime": "2024-06-15",
        })
    for index, resource in enumerate(added):
        link(resource, f"dressed-{number:06d}-{index}")
    return added


def carebundle(work, seed, count, first, most):
    """Yields one transaction bundle a patient, with `urn:uuid` references."""
    run(BIN / "carebundle", "generate", "--profile", "mixed", "--sex", "mixed", "--age-range", "18-90", "--reference-date", ENDS,
        "--count", str(count), "--seed", str(seed), "--out", work / "carebundle")
    for index, path in enumerate(sorted((work / "carebundle").glob("*.json"))):
        bundle = json.loads(path.read_text())
        entries = {id(entry["resource"]): entry for entry in bundle["entry"]}
        resources = chosen([entry["resource"] for entry in bundle["entry"]], most)
        kept = [entries[id(resource)] for resource in resources]

        def link(resource, name):
            url = {"method": "POST", "url": resource["resourceType"]}
            kept.append({"fullUrl": f"urn:uuid:{name}", "resource": resource, "request": url})

        resources += dress(resources[0], kept[0]["fullUrl"], first + index, link)
        yield "json", [compact(bundle | {"entry": kept})], resources


def clinosim(work, seed, count, first, most, chunk):
    """Yields the resources of one patient a file, with `Type/id` references, then those that patients share."""
    out = work / "clinosim"
    run(BIN / "clinosim", "simulate", "-o", out, "-p", str(3 * count + 30), "-s", str(seed), "--country", "US", "--format", "fhir-r4",
        "--start", "2025-07-01", "--end", ENDS)
    of, shared, patients = collections.defaultdict(list), [], []
    for path in sorted((out / "fhir_r4").glob("*.ndjson")):
        for line in path.read_text().splitlines():
            resource = renamed(json.loads(line), f"-{chunk}")
            owner = resource.get("subject") or resource.get("patient") or resource.get("beneficiary")
            if resource["resourceType"] == "Patient":
                patients.append(resource)
            elif owner:
                of[owner["reference"]].append(resource)
            elif resource["resourceType"] in REFERENCE_TYPES:
                shared.append(resource)
    # Those with the most kinds of resources first: the small fixture shall show them all.
    kinds = {p["id"]: len({r["resourceType"] for r in of[f"Patient/{p['id']}"]}) for p in patients}
    patients = sorted(patients, key=lambda p: (-kinds[p["id"]], p["id"]))[:count]
    if len(patients) < count:
        sys.exit(f"clinosim gave {len(patients)} patients of {count}: ask for fewer, or for another seed")
    used = ""
    for index, patient in enumerate(patients):
        reference = f"Patient/{patient['id']}"
        resources = chosen([patient] + of[reference], most)

        def link(resource, name):
            resource["id"] = f"{name}-{chunk}"

        resources += dress(patient, reference, first + index, link)
        lines = [compact(resource) for resource in resources]
        used += "\n".join(lines)
        yield "ndjson", lines, resources
    shared = [r for r in shared if f'"{r["resourceType"]}/{r["id"]}"' in used]
    yield "ndjson", [compact(resource) for resource in shared], shared


def main():
    parser = argparse.ArgumentParser(prog="scripts/generate-patients", description=__doc__.splitlines()[0])
    parser.add_argument("patients", type=int, help="how many")
    parser.add_argument("directory", type=pathlib.Path, help="where the files go; run again to resume")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--clinosim", type=int, default=20, metavar="PERCENT", help="share from clinosim (slower, richer)")
    parser.add_argument("--most", type=int, default=0, metavar="K", help="keep K small resources of a type and category, no narratives")
    ask = parser.parse_args()
    ask.directory.mkdir(parents=True, exist_ok=True)
    for left in ask.directory.glob(".part-*"):
        shutil.rmtree(left)  # of a run that was killed
    total = collections.Counter()
    for chunk, start in enumerate(range(0, ask.patients, CHUNK), 1):
        size = min(CHUNK, ask.patients - start)
        told = ask.directory / f"{chunk:04d}.counts"
        if not told.exists():
            rich = size * ask.clinosim // 100
            counts, number = collections.Counter(), 0
            with tempfile.TemporaryDirectory(dir=ask.directory, prefix=".part-") as work:
                work = pathlib.Path(work)
                made = list(carebundle(work, ask.seed + chunk, size - rich, start, ask.most)) if size > rich else []
                made += list(clinosim(work, ask.seed + chunk, rich, start + size - rich, ask.most, chunk)) if rich else []
                for number, (kind, lines, resources) in enumerate(made, 1):
                    (work / f"{chunk:04d}-{number:03d}.{kind}").write_text("\n".join(lines) + "\n")
                    counts.update(resource["resourceType"] for resource in resources)
                for path in sorted(work.glob("[0-9]*")):
                    shutil.move(path, ask.directory / path.name)
            # Written last: a chunk without it is made again.
            told.write_text("".join(f"{name} {count}\n" for name, count in sorted(counts.items())))
        for line in told.read_text().splitlines():
            total[line.split()[0]] += int(line.split()[1])
        print(f"\r{start + size} of {ask.patients} patients, {sum(total.values())} resources", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    for name, count in total.most_common():
        print(f"{count:8d} {name}")


main()
