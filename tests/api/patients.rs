use wardbook_events::Role;

use crate::helpers::HOUSE;

#[test]
fn a_physician_reads_the_chart_of_a_patient_in_care() {
    let patient = HOUSE.patient("Okafor");
    let answer = HOUSE.client(Role::Physician).get(&format!("/v1/patients/{patient}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["name"]["family"], "Okafor");
}
