// The deployment as environment variables describe it: those of an azd environment (`azd env set NAME value`), of a
// shell, or of the deployment workflow. A variable that is not set, or set to nothing, leaves main.bicep's default, with
// one exception: submissionMode is 'shadow' until you ask for 'live', because a first deployment should submit nothing.
// What is not here, such as quotas and schedules, is set in a parameter file of your own: begin with a copy of
// production.bicepparam.

using 'main.bicep'

var given = {
  alertEmails: readEnvironmentVariable('ALERT_EMAILS', '')
  defenderAlerts: readEnvironmentVariable('DEFENDER_ALERTS', '')
}

param reportingMailboxes = filter(
  map(split(readEnvironmentVariable('REPORTING_MAILBOXES', ''), ','), one => trim(one)),
  one => !empty(one)
)
param tenantDomains = filter(
  map(split(readEnvironmentVariable('TENANT_DOMAINS', ''), ','), one => trim(one)),
  one => !empty(one)
)
param defenderAlerts = empty(given.defenderAlerts) ? 'off' : given.defenderAlerts
param privateNetworking = bool(empty(readEnvironmentVariable('PRIVATE_NETWORKING', ''))
  ? 'false'
  : readEnvironmentVariable('PRIVATE_NETWORKING', ''))
