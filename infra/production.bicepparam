// Production: everything is submitted, storage is closed to the internet, people have their rights by group, and alerts
// are mailed. Replace what is Contoso's.

using 'main.bicep'

param namePrefix = 'defendersub'
param tags = { owner: 'security-operations', dataClass: 'confidential' }

param reportingMailboxes = ['phish-reports@contoso.com', 'secops@contoso.com/Reported by users']
param tenantDomains = ['contoso.com', 'contoso.de']
// Marks without a secret may stand here as they are. Those that hold a secret stand in a vault of yours, see docs/trust.md.
param simulationMarks = '@Microsoft.KeyVault(SecretUri=https://contoso-secops.vault.azure.net/secrets/simulation-marks)'

param submissionMode = 'live'
param userSubmissions = 'on'

param reporterFeedback = 'received,verdict'
param feedbackMailbox = 'phish-answers@contoso.com'

param operatorsGroupId = '6d3f0a14-5f0e-4c8e-9a57-2b1f6c0d7e11'
param pipelinesGroupId = '0b9a4c2e-7d31-4f6a-8e25-c4d1a7f3b922'
param administratorsGroupId = 'e27c5b98-1a4d-4b70-b6f3-5d8e9f0a1c33'

param privateNetworking = true
param networkAddressPrefix = '10.80.0.0/24'
param storageReplication = 'Standard_ZRS'

param alertEmails = ['secops@contoso.com', 'mail-security@contoso.com']
param logRetentionDays = 90
param logDailyCapGB = 5
param storageAudit = true
