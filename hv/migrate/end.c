/* SPDX-License-Identifier: MIT */
/* One end of a migration between two machines. See hv/migrate/end.h. */
#include "hv/migrate/end.h"

#include "hv/base/clock.h"
#include "hv/base/console.h"
#include "hv/cpu/cpuid.h"
#include "hv/cpu/vcpu.h"
#include "hv/net/net.h"
#include "hv/vm/state.h"
#include "mm/apic.h"
#include "mm/lock.h"

/* Leaf 1 ECX. */
#define CPUID_PCLMUL (1u << 1)
#define CPUID_SSSE3  (1u << 9)
#define CPUID_SSE41  (1u << 19)
#define CPUID_AES    (1u << 25)
#define CPUID_RDRAND (1u << 30)
#define CPUID_VECTOR (CPUID_PCLMUL | CPUID_SSSE3 | CPUID_SSE41 | CPUID_AES)

#define AWAKE_US 300 /* after the last work */
#define SLEEP_US 100
#define TRIES    16 /* of RDRAND: SDM vol. 1, "RDRAND" says 10 are enough */

uint64_t end_now(void)
{
	return cycles_to_us(clock_now());
}

void end_before(void)
{
	vcpu_lend_registers();
}

/* A device that is polled wakes nobody; so the sleep is short. */
void end_rest(bool busy)
{
	static uint64_t busy_at;
	uint64_t now = end_now();

	if (busy)
		busy_at = now;
	if (now - busy_at < AWAKE_US) {
		cpu_relax();
		return;
	}
	apic_timer(us_to_cycles(SLEEP_US));
	x86_sleep();
	apic_timer(0);
}

/* --- randomness --------------------------------------------------------------------------- */

static bool rdrand(uint64_t *word)
{
	for (unsigned int i = 0; i < TRIES; i++) {
		bool good;

		__asm__ volatile("rdrand %0" : "=r"(*word), "=@ccc"(good));
		if (good)
			return true;
	}
	return false;
}

/* Without RDRAND there is no key either: then nonces need but differ. */
static uint64_t next_word(void)
{
	static uint64_t n;
	uint64_t word;

	if (x86_cpuid(1, 0).ecx & CPUID_RDRAND && rdrand(&word))
		return word;
	return clock_now() * UINT64_C(6364136223846793005) + ++n;
}

static void fill(void *ctx, void *to, size_t n)
{
	(void)ctx;
	for (size_t done = 0; done < n; done += sizeof(uint64_t)) {
		uint64_t word = next_word();

		__builtin_memcpy((char *)to + done, &word, MIN(n - done, sizeof(word)));
	}
}

/* --- the key ------------------------------------------------------------------------------ */

static const struct boot_module *find(const struct boot_info *info, const char *name)
{
	for (unsigned int i = 0; i < info->nmodules; i++)
		if (!__builtin_strcmp(info->module[i].name, name))
			return &info->module[i];
	return NULL;
}

static const char *open_key(struct end *end, const struct run_config *config,
			    const struct boot_info *info)
{
	const struct boot_module *module;

	if (config->insecure) {
		con_printf(
			"cleave: link: insecure=1: NOTHING IS SEALED: whoever reaches this link can "
			"read and change the guest\n");
		end->key = (struct link_key){ .insecure = true };
		return NULL;
	}
	module = find(info, config->key);
	if (!module) {
		con_printf(
			"cleave: link: key=%s: there is no such file: put 16 to 64 bytes into "
			"\\guests\\NAME.bin on both boot disks and set key=NAME, or set insecure=1\n",
			config->key);
		return "no key, and insecure=1 is not set";
	}
	if (!(x86_cpuid(1, 0).ecx & CPUID_RDRAND))
		return "this CPU has no RDRAND, without which a key is worth nothing: set insecure=1";
	end->key = (struct link_key){
		.bytes = module->data,
		.n = module->bytes,
		.aes = (x86_cpuid(1, 0).ecx & CPUID_VECTOR) == CPUID_VECTOR,
	};
	return link_key_check(&end->key) ? "the key is too short: 16 to 64 bytes" : NULL;
}

const char *end_open(struct end *end, const struct run_config *config, const struct boot_info *info)
{
	*end = (struct end){
		.transport = net_transport(),
		.random.fill = fill,
		.limit = (uint64_t)config->limit_ms * 1000,
	};
	if (!end->transport)
		return "this machine has no link: set link=e1000 or link=ivshmem (docs/link.md)";
	return open_key(end, config, info);
}

/* --- the offer ---------------------------------------------------------------------------- */

/* Each word is a register of a leaf. */
static const struct {
	uint32_t leaf, subleaf;
	enum {
		IN_EAX,
		IN_EBX,
		IN_ECX,
		IN_EDX
	} reg;
} cpu_words[LINK_CPU_WORDS_N] = {
	[LINK_CPU_1_ECX] = { 1, 0, IN_ECX },
	[LINK_CPU_1_EDX] = { 1, 0, IN_EDX },
	[LINK_CPU_7_EBX] = { 7, 0, IN_EBX },
	[LINK_CPU_7_ECX] = { 7, 0, IN_ECX },
	[LINK_CPU_7_EDX] = { 7, 0, IN_EDX },
	[LINK_CPU_D_1_EAX] = { 0xd, 1, IN_EAX },
	[LINK_CPU_E1_ECX] = { 0x80000001, 0, IN_ECX },
	[LINK_CPU_E1_EDX] = { 0x80000001, 0, IN_EDX },
	[LINK_CPU_E7_EDX] = { 0x80000007, 0, IN_EDX },
	[LINK_CPU_E8_EBX] = { 0x80000008, 0, IN_EBX },
	[LINK_CPU_XCR0] = { 0xd, 0, IN_EAX },
	[LINK_CPU_6_EAX] = { 6, 0, IN_EAX },
};

static uint32_t word_of(const struct cpuid *c, unsigned int reg)
{
	const uint32_t words[] = { c->eax, c->ebx, c->ecx, c->edx };

	return words[reg];
}

static struct cpuid tell(const struct vm *vm, bool system, uint32_t leaf, uint32_t subleaf)
{
	const struct cpuid_system s = {
		.nvcpus = vm->nvcpus,
		.components = xstate_components(),
		.xcr0 = xstate_components(),
		.even_tsc = true,
	};
	struct cpuid c = x86_cpuid(leaf, subleaf);

	return system ? cpuid_tell_system(leaf, subleaf, c, vendor->mca->cpuid_ras_ebx, &s)
		      : cpuid_tell(leaf, subleaf, c, vendor->mca->cpuid_ras_ebx);
}

#define FEATURES (LINK_FEATURE_SMALL_ARRIVALS | LINK_FEATURE_EXACT_ADDRESS | LINK_FEATURE_POISON)

void end_offer(struct link_offer *offer, const struct vm *vm, bool told, bool packs)
{
	*offer = (struct link_offer){
		.vendor = vendor == &vendor_vmx ? LINK_VENDOR_VMX : LINK_VENDOR_SVM,
		.backing = (uint8_t)vm->mem.ept.leaf_max,
		.vcpus = (uint8_t)vm->nvcpus,
		.state_version = VM_STATE_VERSION,
		.features = FEATURES | LINK_FEATURE_PARITY | LINK_FEATURE_ROUNDS |
			    (packs ? LINK_FEATURE_PACKED : 0),
		.needs = FEATURES,
		.region = { { .gfn = 0, .frames = vm->mem.frames } },
	};
	for (unsigned int i = 0; i < LINK_CPU_WORDS_N; i++) {
		struct cpuid c =
			tell(vm, !told || vm->platform, cpu_words[i].leaf, cpu_words[i].subleaf);

		offer->cpu[i] = word_of(&c, cpu_words[i].reg);
	}
}
