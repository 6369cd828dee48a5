// The deployment as environment variables describe it: those of an azd environment (`azd env set NAME value`), of a
// shell, or of the workflow in .github/workflows/deploy.yml. One that is not set, or set to nothing, leaves the default
// of main.bicep, but for two: a deployment that nobody told to go live goes in the shadow (SUBMISSION_MODE), and one that
// was told nothing of the phishing simulations stops (SIMULATION_MARKS), as it would empty the marks that the app has.
// What has no variable here, such as a quota or a schedule, is set in a parameter file of your own: begin with a copy of
// production.bicepparam.

using 'main.bicep'

import { daysOf, partsOf, valueOr } from 'environment.bicep'

// `any` leaves it to the deployment to refuse a value that main.bicep does not allow: here it is not known yet.

param namePrefix = valueOr(readEnvironmentVariable('NAME_PREFIX', ''), 'defendersub')

param reportingMailboxes = partsOf(readEnvironmentVariable('REPORTING_MAILBOXES', ''))
param tenantDomains = partsOf(readEnvironmentVariable('TENANT_DOMAINS', ''))
param reportDestination = any(valueOr(readEnvironmentVariable('REPORT_DESTINATION', ''), 'auto'))
param simulationMarks = readEnvironmentVariable('SIMULATION_MARKS', '') // the word none where you have none
param submissionMode = any(valueOr(readEnvironmentVariable('SUBMISSION_MODE', ''), 'shadow'))
param evidenceDays = int(valueOr(readEnvironmentVariable('EVIDENCE_DAYS', ''), '30'))
param outcomesDays = daysOf(readEnvironmentVariable('OUTCOMES_DAYS', ''))
param outcomelogDays = daysOf(readEnvironmentVariable('OUTCOMELOG_DAYS', ''))
param itemsDays = daysOf(readEnvironmentVariable('ITEMS_DAYS', ''))

param userSubmissions = any(valueOr(readEnvironmentVariable('USER_SUBMISSIONS', ''), 'off'))
param defenderAlerts = any(valueOr(readEnvironmentVariable('DEFENDER_ALERTS', ''), 'off'))
param huntingQuery = readEnvironmentVariable('HUNTING_QUERY', '')
param huntingCategory = any(valueOr(readEnvironmentVariable('HUNTING_CATEGORY', ''), 'phishing'))

param reporterFeedback = any(valueOr(readEnvironmentVariable('REPORTER_FEEDBACK', ''), 'off'))
param feedbackMailbox = readEnvironmentVariable('FEEDBACK_MAILBOX', '')
param feedbackLanguage = valueOr(readEnvironmentVariable('FEEDBACK_LANGUAGE', ''), 'en')
param feedbackSimulations = any(valueOr(readEnvironmentVariable('FEEDBACK_SIMULATIONS', ''), 'off'))

param pausedFunctions = any(partsOf(readEnvironmentVariable('PAUSED_FUNCTIONS', '')))

param pythonVersion = any(valueOr(readEnvironmentVariable('PYTHON_VERSION', ''), '3.13'))
param publishingAccess = any(valueOr(readEnvironmentVariable('PUBLISHING_ACCESS', ''), 'Enabled'))

param operatorsGroupId = readEnvironmentVariable('OPERATORS_GROUP_ID', '')
param pipelinesGroupId = readEnvironmentVariable('PIPELINES_GROUP_ID', '')
param administratorsGroupId = readEnvironmentVariable('ADMINISTRATORS_GROUP_ID', '')

param privateNetworking = bool(valueOr(readEnvironmentVariable('PRIVATE_NETWORKING', ''), 'false'))
param storageReplication = any(valueOr(readEnvironmentVariable('STORAGE_REPLICATION', ''), 'Standard_LRS'))

param alertEmails = partsOf(readEnvironmentVariable('ALERT_EMAILS', ''))
